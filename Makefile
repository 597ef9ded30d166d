# Needs Go and make only. The race detector also needs a C compiler: without one
# the tests run without it and say so.
GO      ?= go
BIN     := bin/sallyport
DATA    ?= ./data
# Long enough for the slowest package on a busy two-core machine.
TIMEOUT ?= 20m
FUZZTIME ?= 5s
# The last MinIO there is: no binaries are published any more.
MINIO   := v0.0.0-20260212201848-7aac2a2c5b7c

# Where the S3 clients from npm are installed, and what pins them.
NODE_LOCK := cmd/sallyport/e2e/testdata/node/package-lock.json
NODE_DIR  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sallyport/node

# The race detector, if this machine can build it.
CC_FOUND := $(shell command -v "$$($(GO) env CC | cut -d' ' -f1)" 2>/dev/null)
ifneq ($(CC_FOUND),)
RACE := -race
endif

.DEFAULT_GOAL := help
.PHONY: run build image test missing minio clients bench soak lint cover fuzz help

run: build ## build, and serve with ./data on the default ports
	$(BIN) serve --data $(DATA) --show-credentials

build: ## build bin/sallyport, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/sallyport

image: build ## build the container image "sallyport"
	rm -rf bin/image
	mkdir -p bin/image/data/sallyport
	chmod 700 bin/image/data/sallyport
	cp $(BIN) bin/image/sallyport
	docker build -f deploy/Dockerfile -t sallyport bin/image

test: missing ## run every test, with the race detector where a C compiler is found
	@$(if $(RACE),,echo 'make test: no C compiler, so the race detector is off')
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -timeout $(TIMEOUT) ./...

missing:
	@has() { command -v "$$1" >/dev/null || test -x "$$($(GO) env GOPATH)/bin/$$1"; }; \
	has minio || echo 'make test: MinIO is missing, what needs it skips: make minio'; \
	docker info >/dev/null 2>&1 || echo 'make test: no Docker daemon, what needs it skips: apt-get install docker.io, and start dockerd'; \
	aws --version 2>/dev/null | grep -q '^aws-cli/2' || /usr/bin/aws --version 2>/dev/null | grep -q '^aws-cli/2' || \
		echo 'make test: aws version 2 is missing, what needs it skips: apt-get install awscli'; \
	has curl || echo 'make test: curl is missing, what needs it skips: apt-get install curl'; \
	has node || echo 'make test: node is missing, what needs it skips: apt-get install nodejs'; \
	has clamd || test -x /usr/sbin/clamd || echo 'make test: clamd is missing, what needs it skips: apt-get install clamav-daemon'; \
	has c-icap && test -n "$$(ls /usr/lib/*/c_icap/virus_scan.so 2>/dev/null)" || \
		echo 'make test: c-icap with virus_scan is missing, what needs it skips: apt-get install c-icap libc-icap-mod-virus-scan'; \
	has 7zz || echo 'make test: 7zz is missing, what needs it skips: apt-get install 7zip'; \
	for client in s3cmd rclone restic; do \
		has $$client || echo "make test: $$client is missing, what needs it skips: apt-get install $$client"; \
	done; \
	python3 -c 'import boto3' 2>/dev/null || /usr/bin/python3 -c 'import boto3' 2>/dev/null || \
		echo 'make test: boto3 is missing, what needs it skips: apt-get install python3-boto3'; \
	cmp -s $(NODE_LOCK) "$(NODE_DIR)/installed.json" || echo 'make test: @aws-sdk/client-s3 is missing, what needs it skips: make clients'

minio: ## install MinIO, which tests and benchmarks talk to (some minutes)
	@bin=$$(command -v minio || echo "$$($(GO) env GOPATH)/bin/minio"); \
		$(GO) version -m "$$bin" 2>/dev/null | grep -q '$(MINIO)' || \
		CGO_ENABLED=0 $(GO) install github.com/minio/minio@$(MINIO)

clients: ## install the S3 clients from npm that tests run, outside of this tree
	@cmp -s $(NODE_LOCK) "$(NODE_DIR)/installed.json" || { \
		rm -rf "$(NODE_DIR)" && mkdir -p "$(NODE_DIR)" && cp $(dir $(NODE_LOCK))package.json $(NODE_LOCK) "$(NODE_DIR)" && \
		npm ci --prefix "$(NODE_DIR)" --ignore-scripts --no-audit --no-fund && \
		cp $(NODE_LOCK) "$(NODE_DIR)/installed.json"; }

bench: ## measure, side by side with other servers where they are installed
	$(GO) test -tags bench -count 1 -timeout 120m -run TestBench -v ./cmd/sallyport/bench

soak: ## run the long tests, and fuzz each parser for ten minutes
	$(GO) test -tags soak -count 1 -timeout 120m ./...
	$(MAKE) fuzz FUZZTIME=10m

lint: ## gofmt, go vet, staticcheck, and govulncheck where its database is reachable
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
		test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags 'bench soak' ./...
	$(GO) tool staticcheck ./...
	@out=$$($(GO) tool govulncheck ./... 2>&1) && echo 'govulncheck: nothing found' || case "$$out" in \
	*'fetching vulnerabilities'*) echo 'govulncheck: skipped, its database cannot be reached' ;; \
	*) echo "$$out"; exit 1 ;; \
	esac

cover: ## write coverage.out and print the totals
	$(GO) test -timeout $(TIMEOUT) -coverpkg ./... -coverprofile coverage.out ./...
	$(GO) tool cover -func coverage.out | tail -1

fuzz: ## fuzz each parser for FUZZTIME (default 5s)
	@GO="$(GO)" .ci/fuzz $(FUZZTIME)

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
