// SPDX-License-Identifier: Apache-2.0

// Package harness is what test suites, the demo, the benchmark and the soak
// share: a control plane, the simulator and the operator as processes, and
// certificates, ports and relays for them.
//
//	controlplane.go  etcd and kube-apiserver by envtest; restart.go kills and restarts them,
//	                 controllermanager.go adds kube-controller-manager
//	process.go       a program that runs beside this one; usage.go reads its CPU time and RSS
//	lifeline.go      ends programs when this process is killed
//	simulator.go     slb-simulator and its admin API
//	relay.go         refuses, closes and delays TCP connections
//	certificate.go   self-signed serving certificates
//	env.go           all of these for one test
package harness
