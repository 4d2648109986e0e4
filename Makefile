# Every command of the project. Only Go and make are needed; linters run pinned through
# `go run`, so nothing has to be installed.

MODULES := . cache/rediscache throttle/redisthrottle examples examples/frameworks bench

GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

FUZZTIME ?= 10s

# The race detector needs cgo, and cgo a C compiler.
RACE := $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v $(firstword $(shell go env CC)) >/dev/null 2>&1 && echo -race)

.PHONY: help test engines overload bench fuzz lint fmt api ci

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

test: ## every test of every module, with the race detector where cgo is there
	@[ -n "$(RACE)" ] || echo "note: no cgo or no C compiler here, so the tests run without the race detector"
	@set -e; for m in $(MODULES); do echo "== go test $(RACE) -shuffle=on ($$m)"; \
		(cd $$m && go test $(RACE) -shuffle=on ./...); done
	@set -e; for m in $(MODULES); do echo "== allocation gates, without the race detector ($$m)"; \
		(cd $$m && go test -run '^TestAllocs' ./...); done

engines: ## the tests of cache on both engines, on one and four processors, and on 32 bits
	go test -shuffle=on -cpu 1,4 ./cache/...
	go test $(RACE) -shuffle=on -cpu 4 ./cache -ristretto
	GOARCH=386 CGO_ENABLED=0 go test ./cache/... ./internal/...

overload: ## the scenarios of pool/bulkhead, in virtual time: a minute, without the race detector
	go test -run Overload ./pool/bulkhead

bench: ## the benchmarks, ours beside others', and the table of bench/README.md: half an hour
	go run -C bench ./table -runs 3 -readme README.md

fuzz: ## each fuzz target for FUZZTIME
	@set -e; for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
		echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; done; done

lint: ## gofumpt, go vet, staticcheck
	@out=$$(go run $(GOFUMPT) -l .); [ -z "$$out" ] || { echo "gofumpt would change (make fmt):"; echo "$$out"; exit 1; }
	@set -e; for m in $(MODULES); do echo "== go vet, staticcheck ($$m)"; \
		(cd $$m && go vet ./... && go run $(STATICCHECK) ./...); done

fmt: ## format everything
	go run $(GOFUMPT) -w .

api: ## write api/*.txt anew after a meant change of an exported API
	go test -run '^TestAPI$$' -update .

# Each step with its time. FUZZTIME is short here: a smoke test, the real thing is `make fuzz`. It is a
# number of runs, for on a busy machine the end of a time can look like a failure of the target.
ci: ## what the build server runs
	@set -e; step() { start=$$(date +%s); echo; echo "#### make $$*"; $(MAKE) --no-print-directory "$$@"; \
		echo "#### make $$*: $$(( $$(date +%s) - start )) s"; }; \
		step lint; step test; step engines; step overload; step fuzz FUZZTIME=1000x
