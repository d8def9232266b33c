# SPDX-License-Identifier: Apache-2.0
#
# make docker-build, or for several platforms at once:
# make docker-build IMG=… PLATFORMS=linux/amd64,linux/arm64 DOCKER_ARGS=--push
# The image of the simulator: make docker-build IMG=… TARGET=simulator
# The image of kubectl-lbh, for Jobs: make docker-build IMG=… TARGET=plugin
#
# Where Docker Hub, gcr.io or the Go module proxy are out of reach, name others:
# DOCKER_ARGS='--build-arg BUILDER_IMAGE=… --build-arg BASE_IMAGE=… --build-arg GOPROXY=…'

ARG GO_VERSION=1.26
ARG BUILDER_IMAGE=golang:${GO_VERSION}
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

# The compiler runs on the machine that builds, and compiles for the other one.
FROM --platform=$BUILDPLATFORM ${BUILDER_IMAGE} AS builder
WORKDIR /src
COPY go.mod go.sum ./
# Without a value, Go uses its own default. go.sum verifies the modules of any proxy.
ARG GOPROXY
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
COPY internal/ internal/
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" \
    -o /out/ ./cmd/slb-health-operator ./cmd/slb-simulator
# A module of its own.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -C cmd/kubectl-lbh -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/ .

FROM ${BASE_IMAGE} AS simulator
COPY --from=builder /out/slb-simulator /slb-simulator
USER 65532:65532
ENTRYPOINT ["/slb-simulator"]

FROM ${BASE_IMAGE} AS plugin
COPY --from=builder /out/kubectl-lbh /kubectl-lbh
USER 65532:65532
ENTRYPOINT ["/kubectl-lbh"]

# The default.
FROM ${BASE_IMAGE} AS operator
COPY --from=builder /out/slb-health-operator /slb-health-operator
USER 65532:65532
ENTRYPOINT ["/slb-health-operator"]
