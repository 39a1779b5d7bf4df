# Everyday commands; `make` alone lists them.

SHELL := bash
.DEFAULT_GOAL := help

VERSION ?= v0.1.0
PLUGIN := vault-plugin-secrets-influxdb
COVERAGE := bin/coverage.out
MINIMUM_COVERAGE := 90
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Vault's SDK links a PostgreSQL driver and gRPC: these leave out its table of types and gRPC's trace pages, 1.8 MB that
# nothing here uses.
TAGS := nopgxregisterdefaulttypes,grpcnotrace
BINARY ?= bin/$(PLUGIN)

# The flags are those of .goreleaser.yaml, so that this is the released binary.
.PHONY: build
build: ## build the plugin into bin/
	CGO_ENABLED=0 go build -tags $(TAGS) -trimpath -buildvcs=false -ldflags '-s -w -X $(PLUGIN)/backend.Version=$(VERSION)' -o $(BINARY) ./cmd/$(PLUGIN)

# Built and then run: `go run` would make a failure of a Ctrl-C.
.PHONY: playground
playground:
	@cd e2e && go build -o ../bin/playground ./playground

.PHONY: dev
dev: playground ## start Vault and InfluxDB with the plugin in place, show it at work, and leave them running
	@bin/playground

.PHONY: demo
demo: playground ## the same, and stop at the end
	@bin/playground -demo

# What is run once more against the fake InfluxDB Cloud: the life of tokens.
OF_TOKENS := Cloud|Mint|Creds|Lease|Renew|Revo|Pending|Static|Rotat|Root|Tidy|Token|Unanswered|Unknown

# What takes the same steps hundreds of times, or counts allocations: whole without the race detector, which sees a part.
AT_LENGTH := TestStorageFailsAtEveryCall|TestCutOffInStorage|TestCutOffInInfluxDB|TestRotationByPeriodOverAYear|TestRotationByScheduleOverAYear|TestAMintCostsTheSameInACrowd|TestNarrowedTokensHoldNoMoreThanTheRole|TestStaticCredsChangeOnlyWithTheToken|TestUnreadableEntrySpoilsOnlyItself|TestMessageOverTheCap

# What the plugin protocol has no say in, and what is not run over it again: what the engine has with InfluxDB alone (which
# one it is, what it grants, what its answers and its list of tokens prove), rotations, and what comes with time.
NOT_OF_THE_PROTOCOL := InfluxDB|Unanswered|Tidy|Blind|OneList|Former|Retired|Narrow|Privileged|Clone|RootLacks|Trial|LookAlike|Import|Rotation|Rotates|PlanChanges|RotateRootBeside|NotNoticed|NoOutage|CutOffIn|Clock|Schedule|Dead|Stray|Heals|MadeAnew|Unreadable|Goroutines|InDocs|InTheDocs|Packages|Memory

# Vetting is lint's. Some tests wait more than they work, so that more of them than processors run at once.
UNIT := go test -vet=off -parallel 4 -timeout 40m

.PHONY: unit
unit: ## unit tests with the race detector, some of the backend's once more at length, over the plugin protocol, or on InfluxDB Cloud; fails when too few statements of the backend are covered
	@mkdir -p bin
	$(UNIT) -race -coverpkg=./backend/... -coverprofile=$(COVERAGE) ./...
	$(UNIT) -count=1 -run '^($(AT_LENGTH))$$' ./backend
	TEST_MOUNT=grpc $(UNIT) -count=1 -race -skip '$(NOT_OF_THE_PROTOCOL)' ./backend
	TEST_INFLUXDB=cloud $(UNIT) -count=1 ./backend/token
	TEST_INFLUXDB=cloud $(UNIT) -count=1 -run '$(OF_TOKENS)' ./backend ./backend/mint ./backend/revoke ./backend/static ./backend/tidy
	@scripts/coverage.sh $(COVERAGE) $(MINIMUM_COVERAGE)
	cd release && go test ./...

.PHONY: servers
servers: ## build (or fetch) the servers that the end-to-end tests need, where this machine has none (15 minutes, once)
	@scripts/server.sh vault >/dev/null
	@scripts/server.sh bao >/dev/null
	@scripts/server.sh influxd >/dev/null
	@scripts/server.sh influxd 2.7.12 >/dev/null
	@scripts/server.sh influx >/dev/null
	@scripts/server.sh telegraf >/dev/null

# Most of these tests wait for Vault's ticks and for leases to end, so that more of them than processors run at once.
E2E_PARALLEL ?= 6

E2E := go test -count=1 -timeout 80m -parallel $(E2E_PARALLEL)

# What the host has no say in is not run again on OpenBao: a table in CONTRIBUTING.md lists it.
NOT_ON_OPENBAO = $(shell sed -n '/<!-- not on OpenBao -->/,/<!-- .not on OpenBao -->/p' CONTRIBUTING.md | cut -d '|' -f 2 | grep -o 'Test[A-Za-z0-9]*' | paste -sd '|' -)

.PHONY: e2e e2e-vault e2e-bao
ifdef HOST
e2e: servers
	cd e2e && HOST=$(HOST) $(E2E) ./...
else
e2e: servers ## end-to-end tests: real Vault and OpenBao, real InfluxDB (HOST=bao: all of them on OpenBao)
	@$(MAKE) --no-print-directory -j2 e2e-vault e2e-bao # at once, because both wait more than they work
endif

e2e-vault: servers
	cd e2e && HOST=vault $(E2E) ./...

e2e-bao: servers
	cd e2e && HOST=bao $(E2E) -skip '^($(NOT_ON_OPENBAO))$$' .

.PHONY: test
test: unit e2e ## all tests

.PHONY: versions
versions: servers ## the tests of what depends on InfluxDB or on Vault, with the versions that `make test` leaves out (builds three more servers, 10 minutes each, once; BUILD=no takes those that are there)
	@scripts/versions.sh $(if $(filter no,$(BUILD)),--here)

.PHONY: consumers
consumers: servers ## the recipes of docs/recipes.md with the programs that they are for (fetches or builds some, 40 minutes, once; BUILD=no takes those that are there)
	cd e2e && CONSUMERS=$(if $(filter no,$(BUILD)),here,build) go test -count=1 -timeout 80m -parallel $(E2E_PARALLEL) -run '^TestConsumers' -v .

.PHONY: soak
soak: servers ## long runs that no change waits for: an outage of 12 minutes, mixed load under faults for 30
	cd e2e && go test -tags soak -run '^TestSoak' -count=1 -timeout 90m -v .

.PHONY: release
release: ## make all that is released of VERSION into dist/, signed with COSIGN_KEY; publishes nothing (docs/releasing.md)
	@scripts/release.sh $(VERSION)

.PHONY: release-test
release-test: servers ## make the release of the last commit twice, compare the two, and install it on both hosts
	@scripts/release-test.sh $(VERSION)

.PHONY: vulncheck
vulncheck: ## search the code and its dependencies for known vulnerabilities, where their database can be reached
	@scripts/vulncheck.sh

FUZZTIME ?= 8m

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME (8m), one after another
	go test ./backend/permission -run '^$$' -fuzz '^FuzzDefinition$$' -fuzztime $(FUZZTIME)
	go test ./backend/token -run '^$$' -fuzz '^FuzzStamp$$' -fuzztime $(FUZZTIME)
	go test ./backend/lease -run '^$$' -fuzz '^FuzzLease$$' -fuzztime $(FUZZTIME)
	go test ./backend/role -run '^$$' -fuzz '^FuzzDescription$$' -fuzztime $(FUZZTIME)

BENCH ?= -out ../docs

.PHONY: bench
bench: servers ## measure the plugin beside the least engine there can be, with real servers and nothing else running, and write docs/performance.* (some 40 minutes; BENCH=-short prints hints in few; PEER_BIN names the peer's binary)
	@cd e2e && go build -o ../bin/bench ./bench && ../bin/bench $(BENCH)

.PHONY: microbench
microbench: ## Go benchmarks of what a lease costs in the plugin, with its allocations
	go test ./backend/... -run '^$$' -bench . -benchmem

.PHONY: lint
lint: ## format, style, and who may import whom
	$(GOLANGCI_LINT) run ./...
	go vet -tags crashtest ./backend
	cd e2e && $(GOLANGCI_LINT) run --config ../.golangci.yml ./... && go vet -tags soak,crashtest ./...
	cd release && $(GOLANGCI_LINT) run --config ../.golangci.yml ./...
	@for script in scripts/*.sh .ci/run; do bash -n "$$script" || exit 1; done

.PHONY: clean
clean: ## remove what was built here (not the servers, which other checkouts share)
	rm -rf bin dist
