# Two commands are all that is needed: make up, make test. The others are parts
# of these, or for releases.
SHELL := /bin/bash
.DEFAULT_GOAL := help

DATA    ?= $(CURDIR)/.demarc
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
GO      := CGO_ENABLED=0 go
LDFLAGS := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

export GOFLAGS := -buildvcs=false -trimpath

help: ## show this text
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: build ## build, run everything on this machine and enrol it (DETACH=1: in the background; ARGS: more flags)
	@bin/demarc up --data '$(DATA)' $(if $(DETACH),--detach) $(ARGS)

down: ## end what make up DETACH=1 started
	@bin/demarc down --data '$(DATA)'

build: tools ## build bin/demarc and bin/demarc-agent
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/demarc ./cmd/demarc-agent

tools: # what building needs
	@scripts/install build

test: ## install what the tests need, lint, and run every test
	@scripts/install build test
	@$(MAKE) --no-print-directory lint
	set -o pipefail; go test -json -p 2 -timeout 20m ./... | go run ./internal/house/testreport $(if $(CI),-skips .ci/skips)

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l api cmd internal bench)" || { gofmt -d api cmd internal bench; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

generate: ## generated lists and documents
	go generate ./internal/...

.PHONY: help up down build tools test lint generate
