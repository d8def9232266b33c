// SPDX-License-Identifier: Apache-2.0

// Command ram-policy writes the least RAM policy that the LoadBalancerHealth
// objects of a cluster need, and, with -trust, the trust policy of a RAM role for
// the operator's ServiceAccount:
//
//	kubectl get lbh -A -o json | go run ./hack/ram-policy
//	go run ./hack/ram-policy -trust -oidc-provider ARN -issuer URL
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/nlb"
)

// maxDocument is how many characters RAM takes in one policy.
const maxDocument = 6144

type options struct {
	account string // that owns the load balancers
	secret  string // whose key asks about them; "": the operator's own identity
	regions bool   // allow whole regions
	lists   bool   // allow listing the listeners of CLB
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "ram-policy:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	var o options
	var t trustOptions
	fs := flag.NewFlagSet("ram-policy", flag.ContinueOnError)
	fs.StringVar(&o.account, "account", "*", "`id` of the account that owns the load balancers, or, with -trust, the OIDC provider")
	fs.StringVar(&o.secret, "secret", "", "`namespace/name` of the Secret whose key is to get the policy; default: the operator's own identity")
	fs.BoolVar(&o.regions, "regions", false, "allow whole regions, in place of each load balancer by its id")
	fs.BoolVar(&o.lists, "listeners", true, "allow slb:DescribeLoadBalancerListeners too, which the operator can do without; NLB and ALB need theirs")
	t.bind(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := checkFlags(fs, t.enabled); err != nil {
		return err
	}
	document, err := documentFor(in, o, t)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", document)
	return err
}

// documentFor returns the trust policy, or the policy for the objects of the input.
func documentFor(in io.Reader, o options, t trustOptions) ([]byte, error) {
	if t.enabled {
		trust, err := trustPolicyFor(o.account, t)
		if err != nil {
			return nil, err
		}
		return json.MarshalIndent(trust, "", "  ")
	}
	var list v1alpha1.LoadBalancerHealthList
	if err := json.NewDecoder(in).Decode(&list); err != nil {
		return nil, fmt.Errorf("the input is not that of `kubectl get lbh -A -o json`: %w", err)
	}
	found, err := policyFor(list.Items, o)
	if err != nil {
		return nil, err
	}
	document, err := json.MarshalIndent(found, "", "  ")
	if err == nil && len(document) > maxDocument {
		err = fmt.Errorf("the policy has %d characters, and RAM takes %d: allow whole regions with -regions", len(document), maxDocument)
	}
	return document, err
}

// policy is a document as RAM spells it.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// products are those of the ids of load balancers, in the order of a policy.
var products = []struct {
	name string // as alicloud.ProductOf names it
	alicloud.Product
}{
	{alicloud.ProductCLB, clb.Product()},
	{alicloud.ProductNLB, nlb.Product()},
	{alicloud.ProductALB, alb.Product()},
}

// optional is the action of CLB that the operator can do without.
const optional = "DescribeLoadBalancerListeners"

func policyFor(objects []v1alpha1.LoadBalancerHealth, o options) (*policy, error) {
	if !regexp.MustCompile(`^(\*|\d+)$`).MatchString(o.account) {
		return nil, fmt.Errorf("-account %q is not the id of an account, which is a number", o.account)
	}
	balancers := map[string][]balancer{}
	for i := range objects {
		if identityOf(&objects[i]) != o.secret {
			continue
		}
		b, err := balancerOf(&objects[i])
		if err != nil {
			return nil, err
		}
		product := alicloud.ProductOf(b.id)
		balancers[product] = append(balancers[product], b)
	}
	if len(balancers) == 0 {
		return nil, errors.New("no object is observed with this identity, so it needs no policy")
	}
	document := &policy{Version: "1"}
	for i := range products {
		if found := balancers[products[i].name]; len(found) > 0 {
			document.Statement = append(document.Statement, statementsFor(&products[i].Product, found, o)...)
		}
	}
	return document, nil
}

// statementsFor allows the actions of a product on its load balancers: those on
// the same resources in one statement.
func statementsFor(product *alicloud.Product, balancers []balancer, o options) []statement {
	var statements []statement
	for _, action := range product.Actions {
		if action == optional && !o.lists {
			continue
		}
		resources := make([]string, len(balancers))
		for i, b := range balancers {
			if o.regions {
				b.id = "*"
			}
			resources[i] = product.RAMResource(action, b.region, o.account, b.id)
		}
		slices.Sort(resources)
		resources = slices.Compact(resources)
		same := func(s statement) bool { return slices.Equal(s.Resource, resources) }
		at := slices.IndexFunc(statements, same)
		if at < 0 {
			at = len(statements)
			statements = append(statements, statement{Effect: "Allow", Resource: resources})
		}
		statements[at].Action = append(statements[at].Action, product.RAMAction(action))
	}
	return statements
}

// identityOf is the Secret that an object names, or "".
func identityOf(object *v1alpha1.LoadBalancerHealth) string {
	if object.Spec.Credentials == nil {
		return ""
	}
	return object.Namespace + "/" + object.Spec.Credentials.SecretRef.Name
}

// word is what the ids of regions and load balancers are made of. Anything
// else, above all an asterisk, could allow more than is meant.
var word = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// balancer is a load balancer that an object observes.
type balancer struct{ region, id string }

func balancerOf(object *v1alpha1.LoadBalancerHealth) (balancer, error) {
	id, region, ok := object.LoadBalancer()
	if !ok {
		reference := object.Spec.Reference()
		return balancer{}, fmt.Errorf("%s/%s: its %s %s has no load balancer that is known yet: read the objects from the cluster once it has, with kubectl get lbh -A -o json",
			object.Namespace, object.Name, reference.Kind, reference.Name)
	}
	if !word.MatchString(region) || !word.MatchString(id) || strings.HasPrefix(id, "gwlb-") {
		return balancer{}, fmt.Errorf("%s/%s: %q in %q is no load balancer that the operator observes", object.Namespace, object.Name, id, region)
	}
	return balancer{region, id}, nil
}
