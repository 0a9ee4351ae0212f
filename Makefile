.PHONY: test race check fuzz api cover

test: ## every test of every module; needs Go 1.26 and nothing else
	go test work

race: ## every test with the race detector, which needs a C compiler
	go test -race work

check: ## every check that CI runs
	bash .ci/run

fuzz: ## every fuzz target for FUZZTIME (10s unless set)
	bash scripts/fuzz

api: ## write the public surface of every package to docs/api
	bash scripts/api

cover: ## statement coverage of the library by its tests
	go test -coverpkg=.,./internal/... -coverprofile=coverage.out . ./internal/... ./conformance/... && go tool cover -func=coverage.out | tail -1
