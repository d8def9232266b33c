// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"net/http"
	"strings"
)

// errNotFound is the product's error for a resource that does not exist: loadBalancer, listener or serverGroup. NLB
// writes it with a small letter, ALB with a capital one.
func (p *ProductState) errNotFound(resource string) *apiError {
	return &apiError{code: "ResourceNotFound." + p.spell(resource), status: http.StatusNotFound,
		message: "The specified resource of " + p.spell(resource) + " is not found."}
}

// errNotAllowed is the product's own refusal of a key that may not read a resource.
func (p *ProductState) errNotAllowed(resource string) *apiError {
	if p.product == ProductNLB {
		return &apiError{code: "Forbidden.NoPermission", status: http.StatusForbidden, message: "Authentication is failed for NoPermission."}
	}
	return &apiError{code: "Forbidden." + p.spell(resource), status: http.StatusBadRequest,
		message: "Authentication has failed for " + p.spell(resource) + "."}
}

func (p *ProductState) spell(resource string) string {
	if p.product == ProductNLB {
		return resource
	}
	return strings.ToUpper(resource[:1]) + resource[1:]
}

// errIllegal is the error of both products for the value of a parameter.
func errIllegal(name string) *apiError {
	return &apiError{code: "IllegalParam." + name, status: http.StatusBadRequest, message: "The param of " + name + " is illegal."}
}
