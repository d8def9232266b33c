// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// audience is that of the tokens that RRSA exchanges at STS.
const audience = "sts.aliyuncs.com"

// trustOptions name the ServiceAccount that may assume a role.
type trustOptions struct {
	enabled        bool   // write a trust policy, and read no objects
	provider       string // the ARN of the cluster's OIDC provider, or its name
	issuer         string // the URL that the tokens of the cluster name
	namespace      string
	serviceAccount string
}

func (t *trustOptions) bind(fs *flag.FlagSet) {
	fs.BoolVar(&t.enabled, "trust", false, "write the trust policy of a role for RRSA; the input is not read")
	fs.StringVar(&t.provider, "oidc-provider", "", "`ARN` of the cluster's OIDC provider; or its name, together with -account")
	fs.StringVar(&t.issuer, "issuer", "", "`URL` of the cluster's OIDC issuer")
	fs.StringVar(&t.namespace, "namespace", "slb-health-operator-system", "`namespace` of the operator's ServiceAccount")
	fs.StringVar(&t.serviceAccount, "service-account", "slb-health-operator-controller-manager", "`name` of the operator's ServiceAccount")
}

// checkFlags refuses flags that have no effect with, or without, -trust.
func checkFlags(fs *flag.FlagSet, trust bool) (err error) {
	if fs.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "secret", "regions", "listeners":
			if trust {
				err = fmt.Errorf("-%s has no effect with -trust", f.Name)
			}
		case "oidc-provider", "issuer", "namespace", "service-account":
			if !trust {
				err = fmt.Errorf("-%s needs -trust", f.Name)
			}
		}
	})
	return err
}

// trustPolicy is the document that decides who may assume a RAM role.
type trustPolicy struct {
	Statement []trustStatement
	Version   string
}

type trustStatement struct {
	Action    string
	Condition trustCondition
	Effect    string
	Principal struct{ Federated []string }
}

type trustCondition struct {
	StringEquals struct {
		Audience string `json:"oidc:aud"`
		Issuer   string `json:"oidc:iss"`
		Subject  string `json:"oidc:sub"`
	}
}

// trustPolicyFor trusts one ServiceAccount of the cluster, and no other: each
// condition compares the whole value.
func trustPolicyFor(account string, t trustOptions) (*trustPolicy, error) {
	provider, err := providerARN(account, t.provider)
	if err != nil {
		return nil, err
	}
	if err := checkIssuer(t.issuer); err != nil {
		return nil, err
	}
	if problems := validation.IsDNS1123Label(t.namespace); len(problems) > 0 {
		return nil, fmt.Errorf("-namespace %q: %s", t.namespace, problems[0])
	}
	if problems := validation.IsDNS1123Subdomain(t.serviceAccount); len(problems) > 0 {
		return nil, fmt.Errorf("-service-account %q: %s", t.serviceAccount, problems[0])
	}
	statement := trustStatement{Action: "sts:AssumeRole", Effect: "Allow"}
	statement.Principal.Federated = []string{provider}
	equals := &statement.Condition.StringEquals
	equals.Audience, equals.Issuer = audience, t.issuer
	equals.Subject = "system:serviceaccount:" + t.namespace + ":" + t.serviceAccount
	return &trustPolicy{Version: "1", Statement: []trustStatement{statement}}, nil
}

var (
	accountID    = regexp.MustCompile(`^\d+$`)
	arnOfOIDC    = regexp.MustCompile(`^acs:ram::(\d+):oidc-provider/[A-Za-z0-9._-]+$`)
	providerName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

// providerARN returns the ARN of an OIDC provider that is given as an ARN, or as a
// name and an account. "*" is the default of the account.
func providerARN(account, provider string) (string, error) {
	if account != "*" && !accountID.MatchString(account) {
		return "", fmt.Errorf("-account %q is not the id of an account, which is a number", account)
	}
	if arn := arnOfOIDC.FindStringSubmatch(provider); arn != nil {
		if account != "*" && account != arn[1] {
			return "", fmt.Errorf("-oidc-provider belongs to the account %s, and -account is %s", arn[1], account)
		}
		return provider, nil
	}
	switch {
	case provider == "":
		return "", errors.New("-trust needs -oidc-provider: the console shows its ARN on the cluster's page")
	case !providerName.MatchString(provider):
		return "", fmt.Errorf("-oidc-provider %q is not of the form acs:ram::ACCOUNT:oidc-provider/NAME", provider)
	case account == "*":
		return "", fmt.Errorf("-oidc-provider %q is a name, and needs -account", provider)
	default:
		return "acs:ram::" + account + ":oidc-provider/" + provider, nil
	}
}

// checkIssuer accepts what the claim iss of a cluster's tokens contains.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("-trust needs -issuer: the console shows its URL on the cluster's page")
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#* ") {
		return fmt.Errorf("-issuer %q is not the https URL of an issuer", issuer)
	}
	return nil
}
