# SPDX-License-Identifier: Apache-2.0
#
# The pinned tools, built into bin/tools when they are missing or when their go.mod changes.

TOOLS ?= $(BIN)/tools
ACTIONLINT := $(TOOLS)/actionlint
CONTROLLER_GEN := $(TOOLS)/controller-gen
CRD_REF_DOCS := $(TOOLS)/crd-ref-docs
CYCLONEDX_GOMOD := $(TOOLS)/cyclonedx-gomod
# golangci-lint with one linter more: kubeapilinter.
GOLANGCI_LINT := $(TOOLS)/golangci-lint
GOVULNCHECK := $(TOOLS)/govulncheck
HELM := $(TOOLS)/helm
HELM_DOCS := $(TOOLS)/helm-docs
KREW := $(TOOLS)/krew
KUSTOMIZE := $(TOOLS)/kustomize
# The Prometheus Operator's CRDs, generated from its Go types for the chart's tests.
MONITORING_CRDS := $(BIN)/monitoring-crds

# Flux's CRDs, generated from its Go types for test/gitops.
FLUX_CRDS := $(BIN)/flux-crds

# The controller of Argo Rollouts, for test/rollouts.
ROLLOUTS_CONTROLLER := $(BIN)/rollouts/rollouts-controller

ALL_TOOLS := $(ACTIONLINT) $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(CYCLONEDX_GOMOD) $(GOLANGCI_LINT) $(GOVULNCHECK) $(HELM) $(HELM_DOCS) $(KREW) $(KUSTOMIZE)

# For each tool, the package to build and, under hack/, the module that pins it.
$(ACTIONLINT): package := github.com/rhysd/actionlint/cmd/actionlint
$(CONTROLLER_GEN): package := sigs.k8s.io/controller-tools/cmd/controller-gen
$(CRD_REF_DOCS): package := github.com/elastic/crd-ref-docs
$(CYCLONEDX_GOMOD): package := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
$(GOLANGCI_LINT): package := sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter
$(GOVULNCHECK): package := golang.org/x/vuln/cmd/govulncheck
$(HELM): package := helm.sh/helm/v4/cmd/helm
$(HELM_DOCS): package := github.com/norwoodj/helm-docs/cmd/helm-docs
$(KREW): package := sigs.k8s.io/krew/cmd/krew
$(KUSTOMIZE): package := sigs.k8s.io/kustomize/kustomize/v5

SHARED_MODULE := $(ACTIONLINT) $(CONTROLLER_GEN) $(GOVULNCHECK) $(KUSTOMIZE)
$(SHARED_MODULE): hack/tools/go.mod hack/tools/go.sum
$(filter-out $(SHARED_MODULE),$(ALL_TOOLS)): $(TOOLS)/%: hack/tools/%/go.mod hack/tools/%/go.sum

# For this machine, whatever GOOS and GOARCH the programs are built for.
$(ALL_TOOLS):
	@echo 'building $(@F) from $(<D)'
	@cd $(<D) && GOOS= GOARCH= CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -o $@ $(package)
	@touch $@

$(MONITORING_CRDS)/.made: hack/tools/monitoring/go.mod hack/tools/monitoring/go.sum $(CONTROLLER_GEN)
	@rm -rf $(@D)
	cd hack/tools/monitoring && GOWORK=off $(CONTROLLER_GEN) crd \
		paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1 output:crd:dir=$(@D)
	@touch $@

$(FLUX_CRDS)/.made: test/gitops/go.mod $(CONTROLLER_GEN)
	@rm -rf $(@D)
	cd test/gitops && GOWORK=off $(CONTROLLER_GEN) crd paths=github.com/fluxcd/helm-controller/api/v2 \
		paths=github.com/fluxcd/source-controller/api/v1 output:crd:dir=$(@D)
	@touch $@

$(ROLLOUTS_CONTROLLER): test/rollouts/go.mod test/rollouts/go.sum
	@echo 'building $(@F) from $(<D), which takes minutes the first time'
	@cd $(<D) && GOOS= GOARCH= CGO_ENABLED=0 GOWORK=off go build -mod=readonly -buildvcs=false -o $@ github.com/argoproj/argo-rollouts/cmd/rollouts-controller
	@touch $@
