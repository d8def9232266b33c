// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aliyun/credentials-go/credentials/providers"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func TestProvidersHaveTheOrderOfTheDefaultChain(t *testing.T) {
	withEnvironment(t, "", "", "")
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "")
	t.Setenv("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/reader")
	t.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/ack")
	t.Setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "token")
	t.Setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1:1")
	var names []string
	for _, p := range findProviders(t.TempDir()) {
		names = append(names, p.name)
	}
	if got, want := strings.Join(names, ", "), "environment, --credentials-path, RRSA, CLI profile, profile, ECS RAM role, credentials URI"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestNoOtherIdentityReplacesAConfiguredOne(t *testing.T) {
	t.Parallel()

	works := providerFunc(func() (*providers.Credentials, error) { return session(alicloudtest.KeyID), nil })
	fails := providerFunc(func() (*providers.Credentials, error) { return nil, errors.New("no") })
	if found, by, err := firstOf([]provider{{CredentialsProvider: fails}, {CredentialsProvider: works, name: "second"}}); err != nil ||
		by.name != "second" || found.AccessKeyID != alicloudtest.KeyID {
		t.Errorf("%v, %v", by, err)
	}
	if _, _, err := firstOf([]provider{{CredentialsProvider: fails, name: "first", configured: true}, {CredentialsProvider: works}}); err == nil ||
		!strings.Contains(err.Error(), "first") {
		t.Errorf("got %v", err)
	}
}

func TestConfiguredProviders(t *testing.T) {
	for name, c := range map[string]struct {
		variables map[string]string
		want      string
	}{
		"nothing":               {map[string]string{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": ""}, ""},
		"a role by name":        {map[string]string{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "", "ALIBABA_CLOUD_ECS_METADATA": "reader"}, "ECS RAM role"},
		"whichever role it has": {map[string]string{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "false"}, "ECS RAM role"},
		"a profile":             {map[string]string{"ALIBABA_CLOUD_CREDENTIALS_FILE": "/no/profile"}, "profile"},
		"a CLI profile":         {map[string]string{"ALIBABA_CLOUD_CONFIG_FILE": "/no/profile"}, "CLI profile"},
	} {
		t.Run(name, func(t *testing.T) {
			withEnvironment(t, "", "", "")
			for variable, value := range c.variables {
				t.Setenv(variable, value)
			}
			var meant []string
			for _, p := range findProviders("") {
				if p.configured {
					meant = append(meant, p.name)
				}
			}
			if got := strings.Join(meant, ", "); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

func TestUnreadableProfileIsAFailure(t *testing.T) {
	for _, variable := range []string{"ALIBABA_CLOUD_CONFIG_FILE", "ALIBABA_CLOUD_CREDENTIALS_FILE"} {
		withEnvironment(t, "", "", "")
		t.Setenv(variable, "/no/such/file")
		_, _, err := firstOf(findProviders(""))
		var failed *Error
		if !errors.As(err, &failed) || failed.Kind != CredentialsNotFound || !strings.Contains(failed.Message, "/no/such/file cannot be read") || !strings.Contains(failed.Message, variable) {
			t.Errorf("%s: %v", variable, err)
		}
		t.Setenv(variable, "")
	}
}

func TestMissingTokenMentionsItsFile(t *testing.T) {
	withEnvironment(t, "", "", "")
	path := filepath.Join(t.TempDir(), "no-token")
	t.Setenv("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/reader")
	t.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/ack")
	t.Setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", path)
	_, _, err := firstOf(findProviders(""))
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != CredentialsNotFound {
		t.Fatal(err)
	}
	alicloudtest.VerifyPresentable(t, failed)
	for _, want := range []string{path, "RRSA", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"} {
		if !strings.Contains(failed.Message, want) {
			t.Errorf("%q does not name %s", failed.Message, want)
		}
	}
}

func TestFailuresOfProvidersAreExplained(t *testing.T) {
	t.Parallel()

	p := &provider{name: "RRSA", configured: true, remedy: "check the role"}
	post := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://sts.aliyuncs.com/?SecurityToken=" + alicloudtest.Token, Err: err}
	}
	metadata := &url.Error{Op: "Get", URL: "http://100.100.100.200/latest/" + alicloudtest.Token, Err: os.ErrDeadlineExceeded}
	refusal := func(code string) error {
		return errors.New(`get session token failed: {"RequestId":"1","Message":"` + alicloudtest.Token + `","Code":"` + code + `"}`)
	}
	for name, c := range map[string]struct {
		err   error
		kind  Kind
		words string
	}{
		"no file":       {&fs.PathError{Op: "open", Path: "/token", Err: syscall.ENOENT}, CredentialsNotFound, "/token"},
		"no DNS":        {post(&net.DNSError{IsNotFound: true}), EndpointUnreachable, "sts.aliyuncs.com: its name is not in DNS"},
		"refused":       {post(syscall.ECONNREFUSED), EndpointUnreachable, "connection refused"},
		"hangs":         {post(os.ErrDeadlineExceeded), EndpointUnreachable, "no response in time"},
		"no such role":  {refusal("EntityNotExist.Role"), CredentialsNotFound, "refused with EntityNotExist.Role; check the role"},
		"throttled":     {refusal("Throttling.User"), Throttled, "Throttling.User"},
		"out of order":  {refusal("ServiceUnavailable"), ServiceError, "ServiceUnavailable"},
		"words":         {refusal("<script>"), ServiceError, "gave no credentials"},
		"not the role":  {errors.New("refresh Ecs sts token err, httpStatus: 404, message = " + alicloudtest.Token), CredentialsNotFound, "HTTP 404"},
		"no role":       {errors.New("get role name failed: GET http://100.100.100.200/ 403"), CredentialsNotFound, "HTTP 403"},
		"metadata down": {errors.New("refresh Ecs sts token err, httpStatus: 503, message = " + alicloudtest.Token), ServiceError, "gave no credentials"},
		"no server":     {errors.New("get role name failed: " + metadata.Error()), EndpointUnreachable, "100.100.100.200: no response"},
		"silence":       {errors.New("refresh Ecs sts token err: " + metadata.Error()), EndpointUnreachable, "100.100.100.200: no response"},
		"nothing":       {errNoCredentials, ServiceError, "gave no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := p.explain(c.err)
			if got.Kind != c.kind || !strings.Contains(got.Message, c.words) || !strings.Contains(got.Message, "RRSA") {
				t.Errorf("got %s: %s, want %s: …%s…", got.Kind, got.Message, c.kind, c.words)
			}
			alicloudtest.VerifyPresentable(t, got)
			alicloudtest.VerifySecretless(t, got)
		})
	}
}
