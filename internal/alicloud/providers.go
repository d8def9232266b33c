// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// A provider is one of credentials-go's, or reads an access key (accesskey.go).
// credentials-go's own chain is not used: it reports neither which provider failed
// nor why, keeps the last one after a failure, and falls back to the role of the
// node while STS is down.
type provider struct {
	providers.CredentialsProvider
	// name is for messages.
	name string
	// configured is set for a provider that was configured or was in use: its
	// failure is reported, and no other identity replaces it.
	configured bool
	// variable names the file that the provider reads, if any.
	variable string
	// remedy is what to check when the server refuses it.
	remedy string
}

// environmentName is the name of the provider that reads the variables of an access key.
const environmentName = "environment"

// folderVariable is the flag that names a folder with an access key.
const folderVariable = "--credentials-path"

// findProviders returns the providers in the order of credentials-go's default
// chain, and the folder, if any, after the environment; without those that lack a
// setting.
func findProviders(folder string) []provider {
	found := []provider{{CredentialsProvider: environmentKey(), name: environmentName}}
	add := func(p providers.CredentialsProvider, err error, as provider) {
		if err == nil {
			as.CredentialsProvider = p
			found = append(found, as)
		}
	}
	if folder != "" {
		add(folderKey(folder), nil, provider{name: folderVariable, variable: folderVariable, remedy: "put an access key into " + folder + " again, or restart the operator without"})
	}
	role, err := assumedRole()
	add(role, err, provider{name: "RRSA", configured: true, variable: variableTokenFile, remedy: "check ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and the trust policy of the role"})
	const cliFile, profileFile = "ALIBABA_CLOUD_CONFIG_FILE", "ALIBABA_CLOUD_CREDENTIALS_FILE"
	cli, err := providers.NewCLIProfileCredentialsProviderBuilder().Build()
	add(withFile{cli, os.Getenv(cliFile)}, err, provider{name: "CLI profile", configured: os.Getenv(cliFile) != "", variable: cliFile, remedy: "check the profile"})
	profile, err := providers.NewProfileCredentialsProviderBuilder().Build()
	add(withFile{profile, os.Getenv(profileFile)}, err, provider{name: "profile", configured: os.Getenv(profileFile) != "", variable: profileFile, remedy: "check the profile"})
	node, err := providers.NewECSRAMRoleCredentialsProviderBuilder().Build()
	add(node, err, provider{name: "ECS RAM role", configured: wantsNodeRole(), remedy: "check ALIBABA_CLOUD_ECS_METADATA and that the node has this role"})
	uri, err := providers.NewURLCredentialsProviderBuilder().Build()
	add(uri, err, provider{name: "credentials URI", configured: true, remedy: "check ALIBABA_CLOUD_CREDENTIALS_URI"})
	return found
}

// wantsNodeRole reports whether the role of the node was configured: by its name,
// or, for any role of the node, by ..._DISABLED=false.
func wantsNodeRole() bool {
	return os.Getenv("ALIBABA_CLOUD_ECS_METADATA") != "" || strings.EqualFold(os.Getenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED"), "false")
}

const variableTokenFile = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"

var errUnset = errors.New("not configured")

// assumedRole is the provider of RRSA. Where only some of its variables are set,
// its error names the missing ones.
func assumedRole() (providers.CredentialsProvider, error) {
	var missing []string
	variables := []string{"ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", variableTokenFile}
	for _, variable := range variables {
		inline := variable == variableTokenFile && os.Getenv("ALIBABA_CLOUD_OIDC_TOKEN") != ""
		if os.Getenv(variable) == "" && !inline {
			missing = append(missing, variable)
		}
	}
	switch len(missing) {
	case 0:
		return providers.NewOIDCCredentialsProviderBuilder().Build()
	case len(variables):
		return nil, errUnset
	default:
		return incomplete{ownFailure("RRSA", CredentialsNotFound, "%s is not set, though others of its variables are: set it, or none of %s",
			strings.Join(missing, " and "), strings.Join(variables, ", "))}, nil
	}
}

// incomplete is a provider that lacks settings.
type incomplete struct{ failure *Error }

func (i incomplete) GetCredentials() (*providers.Credentials, error) { return nil, i.failure }
func (incomplete) GetProviderName() string                           { return "incomplete" }

// withFile is a provider with a configured file, "" for its usual one. The
// provider's own error does not say whether the file could be read.
type withFile struct {
	providers.CredentialsProvider
	path string
}

func (w withFile) GetCredentials() (*providers.Credentials, error) {
	if w.path != "" {
		if _, err := os.ReadFile(w.path); err != nil {
			return nil, err
		}
	}
	return w.CredentialsProvider.GetCredentials()
}

// firstOf returns the credentials of the first provider that has any. Its error is
// an *Error.
func firstOf(candidates []provider) (Credentials, *provider, error) {
	for n := range candidates {
		p := &candidates[n]
		found, err := p.credentials()
		if err == nil {
			return found, p, nil
		}
		_, half := errors.AsType[*Error](err)
		_, unread := errors.AsType[*fs.PathError](err)
		if p.configured || half || unread {
			return Credentials{}, nil, p.explain(err)
		}
	}
	return Credentials{}, nil, &Error{
		Kind: CredentialsNotFound,
		Message: "the operator has no credentials of its own: give it an access key (ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, " +
			"or the files of --credentials-path), give its ServiceAccount a RAM role (RRSA), or name a Secret in spec.credentials.secretRef",
	}
}

var errNoCredentials = errors.New("a response without credentials")

// credentials gets the provider's credentials; incomplete ones are an error.
func (p *provider) credentials() (c Credentials, err error) {
	defer func() {
		// Providers panic on responses of the metadata server and STS without fields.
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
	c = Credentials{AccessKeyID: found.AccessKeyId, AccessKeySecret: found.AccessKeySecret, SecurityToken: found.SecurityToken, Source: p.name}
	sum := sha256.Sum256([]byte(c.AccessKeyID + "\n" + c.AccessKeySecret + "\n" + c.SecurityToken))
	c.Version = hex.EncodeToString(sum[:8])
	return c, nil
}

var (
	// refusalCode and httpStatus match what may be reported from the text of an
	// error that quotes whole responses.
	refusalCode = regexp.MustCompile(`"Code"\s*:\s*"([A-Za-z][A-Za-z0-9._-]{0,63})"`)
	httpStatus  = regexp.MustCompile(`(?:httpStatus:)? ([1-5]\d\d)(?:,|$)`)
	// failedRequest matches the URL of a request that failed, where a provider keeps
	// only the text of net/http's error.
	failedRequest = regexp.MustCompile(`(?:failed|err): (?:Get|Put|Post) "(https?://[^"]*)": `)
)

// explain returns an *Error for a provider's error. The error's text may quote
// tokens and responses of STS, so explain uses no more of it than a code.
func (p *provider) explain(err error) *Error {
	failed := func(kind Kind, format string, args ...any) *Error { return ownFailure(p.name, kind, format, args...) }
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if errors.Is(err, errNoKey) {
		return failed(CredentialsNotFound, "the access key was removed; %s", p.remedy)
	}
	if unread, ok := errors.AsType[*fs.PathError](err); ok {
		return failed(CredentialsNotFound, "the file %s cannot be read (%s); mount it there, or correct %s",
			CleanField(unread.Path), unread.Err, p.variable)
	}
	if exchange, ok := errors.AsType[*url.Error](err); ok {
		why := "no response in time"
		if !exchange.Timeout() {
			why = disconnection(err)
		}
		return failed(EndpointUnreachable, "%s: %s; check DNS, proxy and firewall", hostOf(exchange.URL), why)
	}
	if address := submatch(failedRequest, err); address != "" {
		return failed(EndpointUnreachable, "%s: no response; check proxy, firewall and network policies", hostOf(address))
	}
	if code := submatch(refusalCode, err); code != "" && code != "Success" {
		if kind := classify("", code, 0, 0); kind == Throttled || kind == ServiceError {
			return failed(kind, "%s", code)
		}
		return failed(CredentialsNotFound, "refused with %s; %s", code, p.remedy)
	}
	if status := submatch(httpStatus, err); status != "" && status < "500" {
		return failed(CredentialsNotFound, "refused with HTTP %s; %s", status, p.remedy)
	}
	return failed(ServiceError, "the server gave no credentials; if this lasts, %s", p.remedy)
}

// submatch is what a pattern's group matches in the text of an error; "" without a match.
func submatch(pattern *regexp.Regexp, err error) string {
	if found := pattern.FindStringSubmatch(err.Error()); len(found) > 1 {
		return found[1]
	}
	return ""
}

// hostOf is the host of a URL, without its query and user.
func hostOf(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return "its server"
	}
	return CleanField(parsed.Host)
}
