# SPDX-License-Identifier: Apache-2.0
#
# The targets are described by their ## comments: see `make help`. The tools are in
# hack/tools.mk, the test suites in hack/test.mk.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Image to build and to deploy.
IMG ?= slb-health-operator:latest
# Platforms to build the image for, as in linux/amd64,linux/arm64. Empty: this machine's.
PLATFORMS ?=
# Further arguments of `docker buildx build`, as in --push, or '--build-arg GOPROXY=…'.
DOCKER_ARGS ?=
# The image to build: operator, simulator or plugin. Empty: operator.
TARGET ?=
# The configuration to deploy: default, for the whole cluster, or namespaced, for one namespace.
CONFIG ?= default
# The version that the binaries report.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Further arguments of `go test`, as in TEST_ARGS='-run TestBudget -v'.
TEST_ARGS ?=
# Arguments of the operator for `make run`.
ARGS ?=

# The file that build-installer writes.
INSTALLER ?= dist/install.yaml

# The creation time in the image, so that building it again makes the same image.
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
CHART := charts/slb-health-operator

include hack/tools.mk hack/test.mk

##@ Every day

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*##"} \
		/^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
		/^[a-zA-Z_-]+:.*##/ {printf "  \033[36m%-20s\033[0m%s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The same code and the same Go make the same bytes, whatever the folder, the
# checkout or the user's GOFLAGS. See verify-reproducible.
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
api-docs: $(CRD_REF_DOCS) ## Generate docs/api.md from api/, and docs/flags.md from the operator's flags.
	$(CRD_REF_DOCS) --log-level=ERROR --source-path=api --config=hack/api-docs/config.yaml --templates-dir=hack/api-docs/templates \
		--renderer=markdown --output-path=docs/api.md
	@FLAGS_REFERENCE='$(CURDIR)/docs/flags.md' go test -count=1 -run '^TestFlagsReference$$' ./cmd/slb-health-operator >/dev/null

.PHONY: dashboard-picture
dashboard-picture: controlplane build ## Draw what the dashboard's queries return from a running operator: docs/dashboard.svg.
	@DASHBOARD_PICTURE='$(CURDIR)/docs/dashboard.svg' go test -count=1 -run '^TestDashboardPicture$$' -v $(TEST_ARGS) ./test/prometheus

# helm-docs reads only the chart, and prints nothing unless it fails.
.PHONY: chart
chart: manifests $(HELM_DOCS) ## Copy the files of config/ that the chart shares, and generate its README.md from values.yaml.
	@mkdir -p $(CHART)/files
	go run ./hack/compact 9 config/crd/bases/slb.lbhealth.dev_loadbalancerhealths.yaml > $(CHART)/files/crd.json
	cp config/rbac/role.yaml $(CHART)/files/role.yaml
	cp config/service-discovery/role.yaml $(CHART)/files/service-discovery-role.yaml
	cp config/backend-names/role.yaml $(CHART)/files/backend-names-role.yaml
	cp config/readiness-gates/role.yaml $(CHART)/files/readiness-gates-role.yaml
	cp config/readiness-gates/guard.yaml $(CHART)/files/readiness-gates-guard.yaml
	cp config/readiness-gates/injection.yaml $(CHART)/files/readiness-gates-injection.yaml
	cp config/prometheus/alerts.yaml $(CHART)/files/alerts.yaml
	cp config/prometheus/slo/rules.yaml $(CHART)/files/slo-rules.yaml
	go run ./hack/compact 2 config/grafana/slb-health.json > $(CHART)/files/dashboard.json
	$(HELM_DOCS) --chart-search-root=$(CHART) --sort-values-order=file --log-level=warning

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code.
	$(GOLANGCI_LINT) fmt

.PHONY: demo
demo: controlplane build build-plugin ## Run a simulated incident on this machine, without a cluster or an account (DEMO_EXIT=1: stop at the end; after controller-manager: rollouts, too).
	@CGO_ENABLED=0 go build -buildvcs=false -o bin/demo ./hack/demo
	@DEMO_EXIT='$(DEMO_EXIT)' exec bin/demo

.PHONY: run
run: ## Run the operator here against the cluster of the current kubeconfig (ARGS=…).
	go run ./cmd/slb-health-operator $(ARGS)

##@ Checks

.PHONY: lint
lint: $(GOLANGCI_LINT) $(ACTIONLINT) ## Run the linters, for Go and for the workflows.
	$(GOLANGCI_LINT) run
	$(GOLANGCI_LINT) run --config hack/tools/golangci-lint/api.yaml ./api/...
	cd cmd/kubectl-lbh && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	cd test/gitops && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	cd test/perf && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	cd test/slo && $(GOLANGCI_LINT) run --config ../../.golangci.yml
	$(ACTIONLINT) -shellcheck= -pyflakes=

.PHONY: lint-rollouts
lint-rollouts: $(GOLANGCI_LINT) ## Run the linters on test/rollouts, whose modules take minutes to build.
	cd test/rollouts && $(GOLANGCI_LINT) run --config ../../.golangci.yml

.PHONY: lint-fix
lint-fix: $(GOLANGCI_LINT) ## Run the linters, and fix what they can.
	$(GOLANGCI_LINT) run --fix

.PHONY: verify
verify: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(HELM_DOCS) ## Check that generated files and every go.mod are up to date.
	@hack/tools/verify.sh '$(TOOLS)'

.PHONY: tidy
tidy: ## Tidy every go.mod.
	find . -name go.mod -not -path './bin/*' -execdir go mod tidy ';'

##@ Supply chain

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Check the code that is called for known vulnerabilities (VULNDB=URL).
	@hack/tools/vulncheck.sh '$(GOVULNCHECK)' || [ $$? -eq 75 ]

.PHONY: sbom
sbom: build $(CYCLONEDX_GOMOD) ## List the modules of the operator: bin/slb-health-operator.cdx.json.
	@hack/release/sbom.sh '$(CYCLONEDX_GOMOD)' '$(VERSION)' '$(BUILD_OUT)/slb-health-operator'

.PHONY: verify-reproducible
verify-reproducible: ## Build twice, sharing only code and Go, and compare (ARCHS='amd64 arm64').
	@hack/release/reproducible.sh '$(VERSION)' $(ARCHS)

.PHONY: dist
dist: $(CYCLONEDX_GOMOD) ## Build the files of a release into dist/ (VERSION=v…).
	@hack/release/dist.sh '$(VERSION)' '$(CYCLONEDX_GOMOD)'

##@ Cluster

.PHONY: docker-build
docker-build: ## Build the image (IMG=… TARGET=simulator PLATFORMS=linux/amd64,linux/arm64 DOCKER_ARGS=--push).
	SOURCE_DATE_EPOCH='$(SOURCE_DATE_EPOCH)' \
		$(CONTAINER_TOOL) buildx build $(if $(TARGET),--target '$(TARGET)' )$(if $(PLATFORMS),--platform '$(PLATFORMS)' )--build-arg VERSION='$(VERSION)' --tag '$(IMG)' $(DOCKER_ARGS) .

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
build-installer: $(KUSTOMIZE) ## Write everything that deploy applies to dist/install.yaml (IMG=… CONFIG=… INSTALLER=file).
	mkdir -p '$(dir $(INSTALLER))'
	$(print-manifests) >'$(INSTALLER)'

.PHONY: undeploy
undeploy: $(KUSTOMIZE) ## Remove the operator, its CRD and every LoadBalancerHealth (CONFIG=namespaced: the operator).
	$(KUSTOMIZE) build config/$(CONFIG) | $(KUBECTL) delete --ignore-not-found -f -

##@ Housekeeping

.PHONY: tools
tools: $(ALL_TOOLS) ## Build the pinned tools into bin/tools.

.PHONY: clean
clean: ## Remove everything that make built.
	rm -rf bin dist
