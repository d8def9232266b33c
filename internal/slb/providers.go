// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// A provider is one of credentials-go's. Its own chain of them is not used: it
// tells neither which of them failed nor why, holds on to the last one after a
// failure, and lets the role of the node stand in while STS is down.
type provider struct {
	providers.CredentialsProvider
	// name is for messages.
	name string
	// meant tells that somebody asked for this one: if it fails, that is the
	// failure, and no other identity stands in for it.
	meant bool
	// remedy is what to check when it is refused.
	remedy string
}

// findProviders makes the providers in the order of credentials-go's default
// chain. Those that lack a setting are left out.
func findProviders() []provider {
	role := os.Getenv("ALIBABA_CLOUD_ECS_METADATA")
	var found []provider
	add := func(p providers.CredentialsProvider, err error, as provider) {
		if err == nil {
			as.CredentialsProvider = p
			found = append(found, as)
		}
	}
	environment, err := providers.NewEnvironmentVariableCredentialsProviderBuilder().Build()
	add(environment, err, provider{name: "environment"})
	oidc, err := providers.NewOIDCCredentialsProviderBuilder().Build()
	add(oidc, err, provider{name: "RRSA", meant: true, remedy: "check ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and the trust policy of the role"})
	cli, err := providers.NewCLIProfileCredentialsProviderBuilder().Build()
	add(cli, err, provider{name: "CLI profile"})
	profile, err := providers.NewProfileCredentialsProviderBuilder().Build()
	add(profile, err, provider{name: "profile"})
	node, err := providers.NewECSRAMRoleCredentialsProviderBuilder().Build()
	add(node, err, provider{name: "ECS RAM role", meant: role != "", remedy: "check ALIBABA_CLOUD_ECS_METADATA and that the node has this role"})
	uri, err := providers.NewURLCredentialsProviderBuilder().Build()
	add(uri, err, provider{name: "credentials URI", meant: true, remedy: "check ALIBABA_CLOUD_CREDENTIALS_URI"})
	return found
}

// firstOf asks one provider after the other. Its error is an *Error.
func firstOf(candidates []provider) (Credentials, *provider, error) {
	for n := range candidates {
		p := &candidates[n]
		found, err := p.credentials()
		if err == nil {
			return found, p, nil
		}
		if p.meant {
			return Credentials{}, nil, p.explain(err)
		}
	}
	return Credentials{}, nil, &Error{
		Kind: CredentialsNotFound,
		Message: "the operator has no credentials of its own: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET for it, " +
			"give its ServiceAccount a RAM role (RRSA), or name a Secret in spec.credentials.secretRef",
	}
}

var errNoCredentials = errors.New("an answer without credentials")

// credentials asks the provider; what signs nothing is an error.
func (p *provider) credentials() (c Credentials, err error) {
	defer func() {
		// Providers panic on answers of the metadata server and STS that lack fields.
		if panicked := recover(); panicked != nil {
			c, err = Credentials{}, errNoCredentials
		}
	}()
	found, err := p.GetCredentials()
	if err != nil {
		return Credentials{}, err
	}
	if found == nil || found.AccessKeyId == "" || found.AccessKeySecret == "" {
		return Credentials{}, errNoCredentials
	}
	c = Credentials{AccessKeyID: found.AccessKeyId, AccessKeySecret: found.AccessKeySecret, SecurityToken: found.SecurityToken}
	sum := sha256.Sum256([]byte(c.AccessKeyID + "\n" + c.AccessKeySecret + "\n" + c.SecurityToken))
	c.Version = hex.EncodeToString(sum[:8])
	return c, nil
}

var (
	// refusalCode and httpStatus find what is fit to be told in the text of an
	// error that quotes whole answers.
	refusalCode = regexp.MustCompile(`"Code"\s*:\s*"([A-Za-z][A-Za-z0-9._-]{0,63})"`)
	httpStatus  = regexp.MustCompile(`(?:httpStatus:)? ([1-5]\d\d)(?:,|$)`)
	// unanswered finds the URL of a request that failed, where a provider keeps
	// only the text of net/http's error.
	unanswered = regexp.MustCompile(`(?:failed|err): (?:Get|Put|Post) "(https?://[^"]*)": `)
)

// explain turns a provider's error into one that may be shown. Of the error's
// text, which may quote tokens and answers of STS, it takes a code at most.
func (p *provider) explain(err error) *Error {
	failed := func(kind Kind, format string, args ...any) *Error {
		return &Error{Kind: kind, Message: "the operator's own credentials (" + p.name + "): " + fmt.Sprintf(format, args...)}
	}
	if unread, ok := errors.AsType[*fs.PathError](err); ok {
		return failed(CredentialsNotFound, "the file %s cannot be read (%s); mount the token of the ServiceAccount there, or correct ALIBABA_CLOUD_OIDC_TOKEN_FILE",
			cleanField(unread.Path), unread.Err)
	}
	if exchange, ok := errors.AsType[*url.Error](err); ok {
		why := "no answer in time"
		if !exchange.Timeout() {
			why = disconnection(err)
		}
		return failed(EndpointUnreachable, "%s: %s; check DNS, proxy and firewall", hostOf(exchange.URL), why)
	}
	if address := submatch(unanswered, err); address != "" {
		return failed(EndpointUnreachable, "%s: no answer; check proxy, firewall and network policies", hostOf(address))
	}
	if code := submatch(refusalCode, err); code != "" && code != "Success" {
		if kind := classify(code, 0, 0); kind == Throttled || kind == ServiceError {
			return failed(kind, "%s", code)
		}
		return failed(CredentialsNotFound, "refused with %s; %s", code, p.remedy)
	}
	if status := submatch(httpStatus, err); status != "" && status < "500" {
		return failed(CredentialsNotFound, "refused with HTTP %s; %s", status, p.remedy)
	}
	return failed(ServiceError, "what answered gave no credentials; if this lasts, %s", p.remedy)
}

// submatch is what a pattern's group matches in the text of an error; "" when there is nothing.
func submatch(pattern *regexp.Regexp, err error) string {
	if found := pattern.FindStringSubmatch(err.Error()); len(found) > 1 {
		return found[1]
	}
	return ""
}

// hostOf is the host of a URL, without what else may be in it.
func hostOf(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return "its server"
	}
	return cleanField(parsed.Host)
}
