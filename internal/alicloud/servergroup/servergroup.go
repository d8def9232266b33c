// SPDX-License-Identifier: Apache-2.0

// Package servergroup observes load balancers whose listeners forward to server
// groups: what NLB and ALB share. Their API reports the health of one listener a
// call, and of its servers only those that are not normal, so an observation
// combines several calls: the listeners, the members of their server groups, and
// the health of each listener.
//
//	api.go      what a product's client provides, and the plain types of its responses
//	response.go the responses that both products have, decoded and verified
//	read.go     verifies and cleans the fields of a response
//	servers.go  the list of servers that are not normal
//	pages.go    a list that is read page by page
//	state.go    what is kept of a load balancer, between and within observations
//	plan.go     which call is next: pure
//	observe.go  makes the calls, each with a permit
//	rows.go     maps members and health to the rows of an observation: pure
package servergroup
