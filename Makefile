.PHONY: test race check fuzz api cover

test: ## every test of every module; needs Go 1.26 and nothing else
	go test work

race: ## the same with the race detector, which needs a C compiler
	go test -race work

check: ## what CI runs
	bash .ci/run

fuzz: ## each fuzz target, FUZZTIME long (10s unless set)
	bash scripts/fuzz

api: ## write the golden copies of the public surfaces in docs/api anew
	bash scripts/api

cover: ## statement coverage of the library, by its own tests
	go test -coverpkg=.,./internal/... -coverprofile=coverage.out . ./internal/... ./conformance/... && go tool cover -func=coverage.out | tail -1
