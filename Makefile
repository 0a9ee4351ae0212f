.PHONY: test check fuzz api cover

test: ## every test of every module, with the race detector: go 1.25 or newer, and nothing else
	go test -race work

check: ## what CI runs
	bash .ci/run

fuzz: ## each fuzz target, FUZZTIME long (10s unless set)
	bash scripts/fuzz

api: ## write the golden copy of the public surface anew
	go doc -all . > api.txt

cover: ## statement coverage of the library, by its own tests
	go test -coverpkg=.,./internal/... -coverprofile=coverage.out . ./internal/... && go tool cover -func=coverage.out | tail -1
