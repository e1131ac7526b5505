-- +goose Up
-- Tenants of the provider's own hosts, in which the provider is the customer.
ALTER TABLE tenant ADD COLUMN own BIGINT NOT NULL DEFAULT 0 CHECK (own IN (0, 1));
ALTER TABLE principal ADD COLUMN kind TEXT NOT NULL DEFAULT 'service';
-- Whether whoever made it had shown a second factor, and the actions that it is
-- narrowed to, with a space between; NULL is all of its role.
ALTER TABLE principal ADD COLUMN mfa BIGINT NOT NULL DEFAULT 0 CHECK (mfa IN (0, 1));
ALTER TABLE principal ADD COLUMN scope TEXT;
-- Installations from before: the first administrator becomes the credential of
-- the first start, and the tenant that demarc up made is the provider's own.
UPDATE principal SET kind = 'setup' WHERE id = (
  SELECT id FROM principal WHERE tenant_id = '' AND role = 'provider-administrator' ORDER BY created_at, id LIMIT 1);
UPDATE tenant SET own = 1 WHERE name = 'local';

-- +goose Down
SELECT 1;
