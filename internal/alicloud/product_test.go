// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// NLB's codes are in lower case. CLB's API does not have these codes.
func TestCodesOfProducts(t *testing.T) {
	for code, want := range map[string]struct{ clb, nlb, alb Kind }{
		"ResourceNotFound.LoadBalancer":         {InvalidRequest, LoadBalancerNotFound, LoadBalancerNotFound},
		"ResourceNotFound.loadBalancer":         {InvalidRequest, LoadBalancerNotFound, LoadBalancerNotFound},
		"-735":                                  {InvalidRequest, InvalidRequest, LoadBalancerNotFound},
		"ResourceNotFound.Listener":             {InvalidRequest, ServiceError, ServiceError},
		"ResourceNotFound.listener":             {InvalidRequest, ServiceError, ServiceError},
		"ResourceNotFound.serverGroup":          {InvalidRequest, ServiceError, ServiceError},
		"ResourceNotFound.Whatever":             {InvalidRequest, InvalidRequest, InvalidRequest},
		"Rejected.Throttling":                   {Throttled, Throttled, Throttled},
		"IncorrectStatus.Listener":              {ServiceError, ServiceError, ServiceError},
		"ResourceInConfiguring.listener":        {ServiceError, ServiceError, ServiceError},
		"Conflict.Lock":                         {ServiceError, ServiceError, ServiceError},
		"IdempotenceProcessing":                 {ServiceError, ServiceError, ServiceError},
		"OperationFailed.ResourceIsConfiguring": {ServiceError, ServiceError, ServiceError},
		"SystemBusy":                            {ServiceError, ServiceError, ServiceError},
		"IllegalParam":                          {InvalidRequest, InvalidRequest, InvalidRequest},
	} {
		for product, kind := range map[string]Kind{"slb": want.clb, ProductNLB: want.nlb, ProductALB: want.alb} {
			if got := classify(product, code, http.StatusBadRequest, 0); got != kind {
				t.Errorf("%s of %s is %s, want %s", code, product, got, kind)
			}
		}
		outdated := strings.HasSuffix(strings.ToLower(code), ".listener") && strings.HasPrefix(code, "ResourceNotFound") || strings.HasSuffix(code, ".serverGroup")
		if got := (&Error{Code: code}).Outdated(); got != outdated {
			t.Errorf("Outdated of %s is %t", code, got)
		}
	}
}

func TestTransientFailures(t *testing.T) {
	for _, kind := range Kinds() {
		if got, want := (&Error{Kind: kind}).Transient(), kind == Throttled || kind == ServiceError || kind == EndpointUnreachable; got != want {
			t.Errorf("%s: got %t", kind, got)
		}
	}
}

func TestPermissionOfAnAction(t *testing.T) {
	product := &Product{Name: "nlb", Resources: map[string]string{"List": "*", "Members": "serverGroup/*"}}
	for action, want := range map[string]string{
		"List":    "nlb:List on *",
		"Members": "nlb:Members on acs:nlb:cn-hangzhou:*:serverGroup/*",
		"Health":  "nlb:Health on acs:nlb:cn-hangzhou:*:loadbalancer/nlb-1, acs:nlb:cn-hangzhou:*:loadbalancer/nlb-2",
	} {
		if got := product.permission(&Call{Action: action, RegionID: "cn-hangzhou", LoadBalancerIDs: []string{"nlb-1", "nlb-2"}}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := product.RAMResource("Health", "*", "12", "*"), "acs:nlb:*:12:loadbalancer/*"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Only NLB's documents may have a Code, with "Success": true.
func TestDocumentWithACode(t *testing.T) {
	for document, ok := range map[string]bool{
		`{"List":[]}`:                                            true,
		`{"List":[],"Success":true}`:                             true,
		`{"Code":"OK","Success":true,"List":[]}`:                 true,
		`{"Success":true,"List":[],"Code":"OK"}`:                 true,
		`{"List":[],"Code":"OK"}`:                                false,
		`{"List":[],"Success":false}`:                            false,
		`{"Success":false,"List":[],"Code":"OK"}`:                false,
		`{"Success":"true","List":[],"Code":"OK"}`:               false,
		`{"Success":{"a":[1]},"List":[],"Code":"OK"}`:            false,
		`{"Success":null,"List":[]}`:                             false,
		`{"Success":true,"Success":false,"Code":"OK","List":[]}`: false,
		`{"success":true,"List":[],"Code":"OK"}`:                 false,
	} {
		err := VerifyDocument([]byte(document), ListPath{Outer: "List", SuccessCode: true})
		if (err == nil) != ok {
			t.Errorf("%s: %v", document, err)
		}
		if err := VerifyDocument([]byte(document), ListPath{Outer: "List"}); (err == nil) == strings.Contains(document, "Code") {
			t.Errorf("%s of another product: %v", document, err)
		}
	}
}

func TestProductHasAnEndpointOfItsOwn(t *testing.T) {
	own := startHTTPS(t, alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow))
	parsed, err := ParseEndpoint(own.URL, NetworkInternet)
	if err != nil {
		t.Fatal(err)
	}
	client := newTrustingClient(t, own)
	client.options.Endpoint = Endpoint{plain: true, host: "127.0.0.1:1"}
	client.options.Endpoints = map[string]Endpoint{testProduct.Name: parsed}
	call(t, client, aRequest())
	client.options.Endpoints = map[string]Endpoint{"other": parsed}
	if failed := callAndFail(t, client, aRequest()); failed.Kind != EndpointUnreachable || !strings.Contains(failed.Message, "check --slb-endpoint") {
		t.Errorf("got %v", failed)
	}
}
