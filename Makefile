# The targets are described by their ## comments: see `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Image to build and to deploy.
IMG ?= slb-health-operator:latest
# Platforms to build the image for, as in linux/amd64,linux/arm64. Empty: this machine's.
PLATFORMS ?=
# Further arguments of `docker buildx build`, as in --push.
DOCKER_ARGS ?=
# What to deploy: default, for the whole cluster, or namespaced, for one namespace.
CONFIG ?= default
# What the binaries say of themselves.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Further arguments of `go test`, as in TEST_ARGS='-run TestBudget -v'.
TEST_ARGS ?=
# Arguments of the operator for `make run`.
ARGS ?=

# What build-installer writes.
INSTALLER ?= dist/install.yaml

# What the image says of its age, so that building it again makes the same image.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
# The programs to build, and where to put them.
PROGRAMS ?= slb-health-operator slb-simulator
BUILD_OUT ?= bin
PLUGIN_OUT ?= bin
# Architectures to check for a reproducible build.
ARCHS ?= amd64 arm64

CONTAINER_TOOL ?= docker
KUBECTL ?= kubectl

BIN := $(CURDIR)/bin
TOOLS ?= $(BIN)/tools
CONTROLLER_GEN := $(TOOLS)/controller-gen
KUSTOMIZE := $(TOOLS)/kustomize
GOLANGCI_LINT := $(TOOLS)/golangci-lint
ACTIONLINT := $(TOOLS)/actionlint
KREW := $(TOOLS)/krew
CRD_REF_DOCS := $(TOOLS)/crd-ref-docs
GOVULNCHECK := $(TOOLS)/govulncheck
CYCLONEDX_GOMOD := $(TOOLS)/cyclonedx-gomod
HELM := $(TOOLS)/helm
HELM_DOCS := $(TOOLS)/helm-docs
# The Prometheus Operator's CRDs, for the chart's tests: what its Go types say.
MONITORING_CRDS := $(BIN)/monitoring-crds
CHART := charts/slb-health-operator

# Packages whose tests start a control plane are found by what the tests import;
# test/supply builds tools.
LIST_PACKAGES := go list -f '{{.ImportPath}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}' ./...
UNIT := $(LIST_PACKAGES) | awk '!/test\/harness|test\/blackbox|test\/plugin|test\/prometheus|test\/supply/ {print $$1}'
ENVTEST := $(LIST_PACKAGES) | awk '/test\/harness/ && !/test\/blackbox|test\/plugin|test\/prometheus|test\/chart/ {print $$1}'
# The race detector needs cgo, and cgo a C compiler.
CC_FOUND = $(shell command -v $(firstword $(shell go env CC)) 2>/dev/null)
# make soak watches the operator with the race detector, where there can be one, unless SOAK_RACE=0.
SOAK_WITH_RACE = $(if $(filter 0,$(SOAK_RACE)),,$(CC_FOUND))
GO_TEST = $(if $(CC_FOUND),CGO_ENABLED=1 go test -race,go test)

##@ Every day

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*##"} \
		/^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
		/^[a-zA-Z_-]+:.*##/ {printf "  \033[36m%-20s\033[0m%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# The same code and the same Go make the same bytes: nothing of the folder, the
# checkout or the user's GOFLAGS gets in. See verify-reproducible.
.PHONY: build
build: ## Build both programs, static, into bin/.
	CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' \
		-o '$(BUILD_OUT)/' $(addprefix ./cmd/,$(PROGRAMS))

.PHONY: build-plugin
build-plugin: ## Build kubectl-lbh, the plugin of kubectl, into bin/.
	cd cmd/kubectl-lbh && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' \
		-o '$(abspath $(PLUGIN_OUT))/' .

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate the deep copies of api/.
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Generate the CRD from api/ and the manager's role from the markers in controllers/.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=manager-role paths=./controllers/... output:rbac:dir=config/rbac

.PHONY: api-docs
api-docs: $(CRD_REF_DOCS) ## Generate docs/api.md from api/.
	$(CRD_REF_DOCS) --log-level=ERROR --source-path=api --config=hack/api-docs/config.yaml --templates-dir=hack/api-docs/templates \
		--renderer=markdown --output-path=docs/api.md

.PHONY: dashboard-picture
dashboard-picture: controlplane build ## Draw what the dashboard's queries return from a running operator: docs/dashboard.svg.
	@DASHBOARD_PICTURE='$(CURDIR)/docs/dashboard.svg' go test -count=1 -run '^TestDashboardPicture$$' -v $(TEST_ARGS) ./test/prometheus

# helm-docs looks at nothing but the chart, and prints nothing unless it fails.
.PHONY: chart
chart: manifests $(HELM_DOCS) ## Copy into the chart what config/ has, and generate its README.md from values.yaml.
	@mkdir -p $(CHART)/files
	cp config/crd/bases/slb.lbhealth.dev_loadbalancerhealths.yaml $(CHART)/files/crd.yaml
	cp config/rbac/role.yaml $(CHART)/files/role.yaml
	cp config/service-discovery/role.yaml $(CHART)/files/service-discovery-role.yaml
	cp config/backend-names/role.yaml $(CHART)/files/backend-names-role.yaml
	cp config/prometheus/alerts.yaml $(CHART)/files/alerts.yaml
	cp config/grafana/slb-health.json $(CHART)/files/dashboard.json
	$(HELM_DOCS) --chart-search-root=$(CHART) --sort-values-order=file --log-level=warning

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code.
	$(GOLANGCI_LINT) fmt

.PHONY: vet
vet: ## Run go vet.
	go vet ./...

.PHONY: demo
demo: controlplane build ## Show it at work on this machine, without a cluster or an account (DEMO_EXIT=1: end by itself).
	@CGO_ENABLED=0 go build -buildvcs=false -o bin/demo ./hack/demo
	@DEMO_EXIT='$(DEMO_EXIT)' exec bin/demo

.PHONY: run
run: ## Run the operator here against the cluster of the current kubeconfig (ARGS=…).
	go run ./cmd/slb-health-operator $(ARGS)

##@ Tests and checks

.PHONY: controlplane
controlplane: ## Put etcd, kube-apiserver and kubectl into bin/controlplane.
	@hack/controlplane/install.sh

.PHONY: test
test: ## Run every test, the quick ones first (TEST_ARGS=…).
	@$(MAKE) test-unit
	@$(MAKE) test-envtest
	@$(MAKE) test-blackbox
	@$(MAKE) test-faults
	@$(MAKE) test-shards
	@$(MAKE) test-failover
	@$(MAKE) test-kill
	@$(MAKE) test-supply

.PHONY: test-unit
test-unit: race-note ## Test the packages that need no control plane.
	@$(GO_TEST) $(TEST_ARGS) $$($(UNIT))
	@cd test/perf && $(GO_TEST) $(TEST_ARGS) ./...

.PHONY: test-envtest
test-envtest: controlplane race-note ## Test the packages that need a control plane.
	@$(GO_TEST) -count=1 $(TEST_ARGS) $$($(ENVTEST))

.PHONY: test-blackbox
test-blackbox: controlplane build race-note ## Test the built programs against each other over HTTPS.
	@$(GO_TEST) -count=1 -skip '^Test(Faults.*|Kills|Failover|Shards)$$' $(TEST_ARGS) ./test/blackbox/...

.PHONY: test-faults
test-faults: controlplane build race-note ## Test every fault of docs/reliability.md with the built operator.
	@$(GO_TEST) -count=1 -run '^TestFaults' $(TEST_ARGS) ./test/blackbox

.PHONY: test-shards
test-shards: controlplane race-note ## Test operators that share the objects by labels and namespaces.
	@$(GO_TEST) -count=1 -run '^TestShards$$' -v $(TEST_ARGS) ./test/blackbox

.PHONY: test-failover
test-failover: controlplane race-note ## Stop, kill and pause leaders, and hold the audit log against them.
	@$(GO_TEST) -count=1 -run '^TestFailover$$' -v $(TEST_ARGS) ./test/blackbox

.PHONY: test-kill
test-kill: controlplane ## Kill the operator 200 times, and demand a possible history (KILL_SEED=…).
	@$(GO_TEST) -count=1 -timeout 15m -run '^TestKills$$' -v $(TEST_ARGS) ./test/blackbox

.PHONY: test-plugin
test-plugin: controlplane build race-note ## Test kubectl-lbh: its packages, and the built plugin in pipes and terminals.
	@cd cmd/kubectl-lbh && $(GO_TEST) -count=1 $(TEST_ARGS) ./...
	@cd cmd/kubectl-lbh && $(if $(CC_FOUND),CGO_ENABLED=1 go build -race,go build) -buildvcs=false -o '$(BIN)/plugin/' .
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/plugin

.PHONY: test-chart
test-chart: controlplane build $(HELM) $(KUSTOMIZE) $(MONITORING_CRDS)/.made race-note ## Test the Helm chart and the one-file install against a real API server.
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/chart/...

.PHONY: test-prometheus
test-prometheus: controlplane build ## Test alerts and dashboard with promtool and a real Prometheus (Debian's package).
	@go test -count=1 -timeout 20m $(TEST_ARGS) ./test/prometheus/...

# Without the race detector: it would double the minutes that Argo CD's modules
# take to build, and what runs beside the tests are other programs.
.PHONY: test-gitops
test-gitops: controlplane build ## Test docs/gitops with the code of Argo CD and Flux, and with kubectl.
	@cd test/gitops && go test -count=1 $(TEST_ARGS) ./...

.PHONY: test-supply
test-supply: race-note ## Test the table of dependencies, the vulnerability check, the SBOM and the workflows.
	@$(GO_TEST) -count=1 $(TEST_ARGS) ./test/supply/...

.PHONY: test-rbac
test-rbac: controlplane race-note ## Hold the rights that config/ grants to those that the operator uses.
	@$(GO_TEST) -count=1 -run '^TestRBAC$$' $(TEST_ARGS) ./test/blackbox

.PHONY: bench
bench: controlplane build ## Measure it against the limit and the textbook: docs/benchmarks.md (BENCH=quick BENCH_OUT=folder).
	@CGO_ENABLED=0 go build -C test/perf -trimpath -buildvcs=false -o $(BIN)/bench ./bench
	@BENCH='$(BENCH)' BENCH_OUT='$(BENCH_OUT)' exec bin/bench

.PHONY: bench-micro
bench-micro: ## Time the pieces of one observation, with their allocations (TEST_ARGS=…).
	@go test -run '^$$' -bench . -benchmem $(TEST_ARGS) ./internal/health ./internal/alicloud/... ./controllers

.PHONY: fuzz
fuzz: ## Fuzz every target in turn (FUZZTIME=30s each, FUZZ=pattern).
	@FUZZTIME='$(FUZZTIME)' FUZZ='$(FUZZ)' hack/fuzz.sh

.PHONY: soak
soak: controlplane build ## Let everything go wrong for a while: nothing may grow, and the end must be true (SOAK=10m SOAK_SEED=n SOAK_OUT=folder SOAK_RACE=0).
	@$(if $(SOAK_WITH_RACE),CGO_ENABLED=1 go build -race -buildvcs=false -o bin/race/ ./cmd/slb-health-operator)
	@CGO_ENABLED=0 go build -C test/perf -trimpath -buildvcs=false -o $(BIN)/soak ./soak
	@SOAK='$(SOAK)' SOAK_SEED='$(SOAK_SEED)' SOAK_OUT='$(SOAK_OUT)' SOAK_RACE=$(if $(SOAK_WITH_RACE),1,0) exec bin/soak

.PHONY: race-note
race-note:
	@echo 'testing $(if $(CC_FOUND),with the race detector,without the race detector: there is no C compiler)'

.PHONY: lint
lint: $(GOLANGCI_LINT) $(ACTIONLINT) ## Run the linters, for Go and for the workflows.
	$(GOLANGCI_LINT) run
	cd cmd/kubectl-lbh && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	cd test/gitops && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	cd test/perf && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	$(ACTIONLINT) -shellcheck= -pyflakes=

.PHONY: lint-fix
lint-fix: $(GOLANGCI_LINT) ## Run the linters, and let them mend what they can.
	$(GOLANGCI_LINT) run --fix

.PHONY: verify
verify: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(HELM_DOCS) vet ## Check that generated files and every go.mod are up to date.
	@hack/tools/verify.sh '$(TOOLS)'

.PHONY: tidy
tidy: ## Tidy every go.mod.
	find . -name go.mod -not -path './bin/*' -execdir go mod tidy ';'

##@ Supply chain

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities in what the code calls (VULNDB=URL).
	@hack/tools/vulncheck.sh '$(GOVULNCHECK)' || [ $$? -eq 75 ]

.PHONY: sbom
sbom: build $(CYCLONEDX_GOMOD) ## List what the operator is made of: bin/slb-health-operator.cdx.json.
	@hack/release/sbom.sh '$(CYCLONEDX_GOMOD)' '$(VERSION)' '$(BUILD_OUT)/slb-health-operator'

.PHONY: verify-reproducible
verify-reproducible: ## Build twice, with nothing in common but code and Go, and compare (ARCHS='amd64 arm64').
	@hack/release/reproducible.sh '$(VERSION)' $(ARCHS)

.PHONY: dist
dist: $(CYCLONEDX_GOMOD) ## Build what a release offers into dist/ (VERSION=v…).
	@hack/release/dist.sh '$(VERSION)' '$(CYCLONEDX_GOMOD)'

##@ Cluster

.PHONY: docker-build
docker-build: ## Build the image (IMG=… PLATFORMS=linux/amd64,linux/arm64 DOCKER_ARGS=--push).
	SOURCE_DATE_EPOCH='$(SOURCE_DATE_EPOCH)' \
		$(CONTAINER_TOOL) buildx build $(if $(PLATFORMS),--platform '$(PLATFORMS)' )--build-arg VERSION='$(VERSION)' --tag '$(IMG)' $(DOCKER_ARGS) .

.PHONY: install
install: $(KUSTOMIZE) ## Install the CRD into the current cluster.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) apply --server-side -f -

.PHONY: uninstall
uninstall: $(KUSTOMIZE) ## Remove the CRD, and with it every LoadBalancerHealth.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) delete --ignore-not-found -f -

# With another image, in a copy: `kustomize edit` would change the checkout.
define print-manifests
copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && cp -R config "$$copy/" \
	&& (cd "$$copy/config/manager" && $(KUSTOMIZE) edit set image slb-health-operator='$(IMG)') \
	&& $(KUSTOMIZE) build "$$copy/config/$(CONFIG)"
endef

.PHONY: deploy
deploy: $(KUSTOMIZE) ## Deploy the operator with its CRD into the current cluster (IMG=… CONFIG=namespaced: without).
	$(print-manifests) | $(KUBECTL) apply --server-side -f -

.PHONY: build-installer
build-installer: $(KUSTOMIZE) ## Write all that deploy applies to dist/install.yaml (IMG=… CONFIG=… INSTALLER=file).
	mkdir -p '$(dir $(INSTALLER))'
	$(print-manifests) >'$(INSTALLER)'

.PHONY: undeploy
undeploy: $(KUSTOMIZE) ## Remove the operator, its CRD and every LoadBalancerHealth (CONFIG=namespaced: the operator).
	$(KUSTOMIZE) build config/$(CONFIG) | $(KUBECTL) delete --ignore-not-found -f -

##@ Housekeeping

.PHONY: tools
tools: $(CONTROLLER_GEN) $(KUSTOMIZE) $(GOLANGCI_LINT) $(ACTIONLINT) $(GOVULNCHECK) $(CYCLONEDX_GOMOD) $(HELM) $(HELM_DOCS) $(KREW) $(CRD_REF_DOCS) ## Build the pinned tools into bin/tools.

.PHONY: clean
clean: ## Remove everything that make built.
	rm -rf bin dist

# For this machine, whatever GOOS and GOARCH the programs are built for.
define go-build-tool
@echo "building $(@F) from $(patsubst $(CURDIR)/%,%,$(1))"
@cd $(1) && GOOS= GOARCH= CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -o $@ $(2)
@touch $@
endef

$(CONTROLLER_GEN): hack/tools/go.mod hack/tools/go.sum
	$(call go-build-tool,hack/tools,sigs.k8s.io/controller-tools/cmd/controller-gen)

$(KUSTOMIZE): hack/tools/go.mod hack/tools/go.sum
	$(call go-build-tool,hack/tools,sigs.k8s.io/kustomize/kustomize/v5)

$(GOLANGCI_LINT): hack/tools/golangci-lint/go.mod hack/tools/golangci-lint/go.sum
	$(call go-build-tool,hack/tools/golangci-lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(ACTIONLINT): hack/tools/go.mod hack/tools/go.sum
	$(call go-build-tool,hack/tools,github.com/rhysd/actionlint/cmd/actionlint)

$(CRD_REF_DOCS): hack/tools/crd-ref-docs/go.mod hack/tools/crd-ref-docs/go.sum
	$(call go-build-tool,hack/tools/crd-ref-docs,github.com/elastic/crd-ref-docs)

$(KREW): hack/tools/krew/go.mod hack/tools/krew/go.sum
	$(call go-build-tool,hack/tools/krew,sigs.k8s.io/krew/cmd/krew)

$(GOVULNCHECK): hack/tools/go.mod hack/tools/go.sum
	$(call go-build-tool,hack/tools,golang.org/x/vuln/cmd/govulncheck)

$(CYCLONEDX_GOMOD): hack/tools/cyclonedx-gomod/go.mod hack/tools/cyclonedx-gomod/go.sum
	$(call go-build-tool,hack/tools/cyclonedx-gomod,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)

$(HELM): hack/tools/helm/go.mod hack/tools/helm/go.sum
	$(call go-build-tool,hack/tools/helm,helm.sh/helm/v4/cmd/helm)

$(HELM_DOCS): hack/tools/helm-docs/go.mod hack/tools/helm-docs/go.sum
	$(call go-build-tool,hack/tools/helm-docs,github.com/norwoodj/helm-docs/cmd/helm-docs)

$(MONITORING_CRDS)/.made: hack/tools/monitoring/go.mod hack/tools/monitoring/go.sum $(CONTROLLER_GEN)
	@rm -rf $(@D)
	cd hack/tools/monitoring && GOWORK=off $(CONTROLLER_GEN) crd \
		paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1 output:crd:dir=$(@D)
	@touch $@
