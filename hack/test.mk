# SPDX-License-Identifier: Apache-2.0
#
# The test suites, benchmarks and fuzzing.

##@ Tests

# What plain `make test` runs, in this order. SUITE names others: `make test SUITE='chart plugin'`.
SUITE ?= unit envtest blackbox faults shards failover kill supply

# Packages whose tests start a control plane are found by what the tests import. test/supply builds tools.
LIST_PACKAGES := go list -f '{{.ImportPath}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}' ./...
UNIT := $(LIST_PACKAGES) | awk '!/test\/harness|test\/blackbox|test\/plugin|test\/prometheus|test\/supply/ {print $$1}'
ENVTEST := $(LIST_PACKAGES) | awk '/test\/harness/ && !/test\/blackbox|test\/plugin|test\/prometheus|test\/chart|test\/commands|test\/rollout|test\/supply/ {print $$1}'

# The race detector needs cgo, and cgo needs a C compiler.
CC_FOUND = $(shell command -v $(firstword $(shell go env CC)) 2>/dev/null)
WITH_RACE = $(if $(CC_FOUND),CGO_ENABLED=1 go $(1) -race,go $(1))
# Without vet, which would analyze every dependency once more: make lint runs all of it.
GO_TEST = $(call WITH_RACE,test -vet=off)
# make soak runs the operator with the race detector where there is a C compiler, unless SOAK_RACE=0.
SOAK_WITH_RACE = $(if $(filter 0,$(SOAK_RACE)),,$(CC_FOUND))

.PHONY: controlplane
controlplane: ## Put etcd, kube-apiserver and kubectl into bin/controlplane.
	@hack/controlplane/install.sh

# Only rollouts need it, in test/rollout and the demo, and its first build costs minutes of CPU.
.PHONY: controller-manager
controller-manager: ## Put kube-controller-manager into bin/controller-manager.
	@hack/controlplane/install.sh controller-manager

.PHONY: test
test: $(addprefix test-,$(SUITE)) ## Run every test, the quick ones first, or some suites (SUITE='unit faults' TEST_ARGS=…).

.PHONY: test-unit
test-unit: race-note ## Test the packages that need no control plane.
	@$(GO_TEST) $(TEST_ARGS) $$($(UNIT))
	@cd test/perf && $(GO_TEST) $(TEST_ARGS) ./...

.PHONY: test-envtest
test-envtest: controlplane race-note ## Test the packages that need a control plane.
	@$(GO_TEST) -count=1 $(TEST_ARGS) $$($(ENVTEST))

# The suites of test/blackbox build them too: the go command then finds that there is nothing to do.
.PHONY: build-test
build-test: ## Build the programs that test/blackbox and the soak run: bin/race and bin/norace.
	@$(call WITH_RACE,build) -buildvcs=false -o bin/race/ ./cmd/slb-health-operator ./cmd/slb-simulator
	@CGO_ENABLED=0 go build -buildvcs=false -o bin/norace/ ./cmd/slb-health-operator ./cmd/slb-simulator

.PHONY: test-blackbox
test-blackbox: controlplane build race-note ## Test the built programs against each other over HTTPS.
	@$(GO_TEST) -count=1 -timeout 20m -skip '^Test(Faults.*|Kills|Failover|Shards)$$' $(TEST_ARGS) ./test/blackbox/...

.PHONY: test-faults
test-faults: controlplane build race-note ## Test every fault of docs/reliability.md with the built operator.
	@$(GO_TEST) -count=1 -run '^TestFaults' $(TEST_ARGS) ./test/blackbox

.PHONY: test-shards
test-shards: controlplane race-note ## Test operators that share the objects by labels and namespaces.
	@$(GO_TEST) -count=1 -run '^TestShards$$' -v $(TEST_ARGS) ./test/blackbox

.PHONY: test-failover
test-failover: controlplane race-note ## Stop, kill and pause leaders, and compare the audit log: one writes at a time.
	@$(GO_TEST) -count=1 -run '^TestFailover$$' -v $(TEST_ARGS) ./test/blackbox

.PHONY: test-kill
test-kill: controlplane ## Kill the operator 200 times, and require a possible history (KILL_SEED=…).
	@$(GO_TEST) -count=1 -timeout 15m -run '^TestKills$$' -v $(TEST_ARGS) ./test/blackbox

.PHONY: test-rollout
test-rollout: controlplane controller-manager build race-note ## Test which backends serve, and which are missing, during rollouts, drains and outages (ROLLOUT_CHURN=30m: rollouts and restarts in turn alone).
	@ROLLOUT_CHURN='$(ROLLOUT_CHURN)' $(GO_TEST) -count=1 $(if $(ROLLOUT_CHURN),-timeout 0 -v -run '^TestRollouts$$/^churn') $(TEST_ARGS) ./test/rollout/...

.PHONY: test-plugin
test-plugin: controlplane build race-note ## Test kubectl-lbh: its packages, and the built plugin in pipes and terminals.
	@cd cmd/kubectl-lbh && $(GO_TEST) -count=1 $(TEST_ARGS) ./...
	@cd cmd/kubectl-lbh && $(call WITH_RACE,build) -buildvcs=false -o '$(BIN)/plugin/' .
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/plugin

.PHONY: test-chart
test-chart: controlplane build $(HELM) $(KUSTOMIZE) $(MONITORING_CRDS)/.made race-note ## Test the Helm chart and the one-file install against a real API server.
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/chart/...

.PHONY: test-commands
test-commands: controlplane build build-plugin $(HELM) $(KUSTOMIZE) $(MONITORING_CRDS)/.made race-note ## Run the commands of README.md and of the pages about installing, on a real API server.
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/commands/...

.PHONY: test-prometheus
test-prometheus: controlplane build ## Test alerts and dashboard with promtool and a real Prometheus (Debian's package).
	@go test -vet=off -count=1 -timeout 20m $(TEST_ARGS) ./test/prometheus/...
	@cd test/slo && go test -vet=off -count=1 $(TEST_ARGS) ./...

# Without the race detector: it would double the minutes that Argo CD's modules
# take to build, and the tests only start other programs.
.PHONY: test-gitops
test-gitops: controlplane build $(HELM) $(KUSTOMIZE) $(MONITORING_CRDS)/.made $(FLUX_CRDS)/.made ## Test docs/gitops with the code of Argo CD and Flux, and with kubectl, Helm and kustomize.
	@cd test/gitops && go test -vet=off -count=1 $(TEST_ARGS) ./...

# Without the race detector, as test-gitops. Not in .ci/run: a first build takes 7 minutes of CPU.
.PHONY: test-rollouts
test-rollouts: controlplane controller-manager build build-plugin $(ROLLOUTS_CONTROLLER) ## Test docs/gitops/rollouts with the real controller of Argo Rollouts, and with Flagger's code.
	@cd test/rollouts && go test -vet=off -count=1 -timeout 20m $(TEST_ARGS) ./...

.PHONY: test-supply
test-supply: controlplane race-note ## Test the table of dependencies, the vulnerability check, the SBOM and the workflows.
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/supply/...

# What test-compat runs. -o: a version's own folder is up to date, and bin/controlplane stays as it is.
COMPAT ?= envtest blackbox plugin

.PHONY: test-compat
test-compat: ## Run suites (COMPAT='envtest blackbox plugin') against another Kubernetes, built once (KUBERNETES=v1.33.13).
	@hack/controlplane/compat.sh '$(KUBERNETES)'
	@KUBEBUILDER_ASSETS='$(BIN)/compat/$(KUBERNETES)' $(MAKE) -o controlplane test SUITE='$(COMPAT)'

.PHONY: test-rbac
test-rbac: controlplane race-note ## Compare the permissions in config/ to those that the operator uses.
	@$(GO_TEST) -count=1 -run '^TestRBAC$$' $(TEST_ARGS) ./test/blackbox

.PHONY: bench
bench: controlplane build ## Measure it against the limit and the textbook: docs/benchmarks.md (BENCH=quick|fast|gates|forms|storm|services|expected|products|builds BENCH_OUT=folder BENCH_BASE=operator).
	@CGO_ENABLED=0 go build -C test/perf -trimpath -buildvcs=false -o $(BIN)/bench ./bench
	@BENCH='$(BENCH)' BENCH_OUT='$(BENCH_OUT)' BENCH_BASE='$(BENCH_BASE)' exec bin/bench

.PHONY: bench-micro
bench-micro: ## Time the pieces of one observation, with their allocations (TEST_ARGS=…).
	@go test -run '^$$' -bench . -benchmem $(TEST_ARGS) ./internal/health ./internal/alicloud/... ./controllers

.PHONY: fuzz
fuzz: ## Fuzz every target, one after another (FUZZTIME=30s each, FUZZ=pattern).
	@FUZZTIME='$(FUZZTIME)' FUZZ='$(FUZZ)' hack/fuzz.sh

.PHONY: soak
soak: controlplane build ## Inject faults for a while: nothing may grow, and the last status must be correct (SOAK=10m SOAK_SEED=n SOAK_OUT=folder SOAK_RACE=0).
	@$(if $(SOAK_WITH_RACE),$(MAKE) build-test)
	@CGO_ENABLED=0 go build -C test/perf -trimpath -buildvcs=false -o $(BIN)/soak ./soak
	@SOAK='$(SOAK)' SOAK_SEED='$(SOAK_SEED)' SOAK_OUT='$(SOAK_OUT)' SOAK_RACE=$(if $(SOAK_WITH_RACE),1,0) exec bin/soak

.PHONY: race-note
race-note:
	@echo 'testing $(if $(CC_FOUND),with the race detector,without the race detector: there is no C compiler)'
