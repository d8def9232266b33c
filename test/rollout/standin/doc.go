// SPDX-License-Identifier: Apache-2.0

// Package standin plays what a rollout needs beside a real API server and a real
// controller manager, where there is no node and no cloud:
//
//	kubelet.go          scheduler and kubelet: binds, starts, stops pods, computes Ready as kubelet does
//	node.go             nodes that are added, drained and restarted
//	cloudcontroller.go  Alibaba Cloud's cloud controller manager: registers pods or nodes as backends
//	loadbalancer.go     the load balancer's health checks; slb-simulator has its rows
//	missinglog.go       which objects reported missing backends
//	recorder.go         how many backends serve, recorded at each change
//
// It reads and writes through the API server, as the originals do, and reacts to
// watches. Delays are options.
package standin
