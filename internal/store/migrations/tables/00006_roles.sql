-- +goose Up
-- Tenants of the provider's own hosts, in which the provider is the customer.
ALTER TABLE tenant ADD COLUMN own BIGINT NOT NULL DEFAULT 0 CHECK (own IN (0, 1));
ALTER TABLE principal ADD COLUMN kind TEXT NOT NULL DEFAULT 'service';

-- +goose Down
SELECT 1;
