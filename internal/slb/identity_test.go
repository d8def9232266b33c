// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// withEnvironment sets the variables that the chain reads, and leaves it nothing else to find.
func withEnvironment(t *testing.T, keyID, secret, token string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", keyID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", token)
}

func found(t *testing.T, identity *Identity) Credentials {
	t.Helper()
	credentials, err := identity.Credentials(t.Context(), Account{})
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func notFound(t *testing.T, identity *Identity) *Error {
	t.Helper()
	credentials, err := identity.Credentials(t.Context(), Account{})
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != CredentialsNotFound {
		t.Fatalf("got (%v, %v), want %s", credentials, err, CredentialsNotFound)
	}
	verifyPresentable(t, failed)
	if credentials != (Credentials{}) {
		t.Error("credentials besides an error")
	}
	return failed
}

func TestTheOperatorsIdentityIsReadFromTheEnvironment(t *testing.T) {
	for name, token := range map[string]string{"a key": "", "a temporary key": testToken} {
		t.Run(name, func(t *testing.T) {
			withEnvironment(t, testKeyID, testSecret, token)
			got := found(t, &Identity{})
			if got.AccessKeyID != testKeyID || got.AccessKeySecret != testSecret || got.SecurityToken != token {
				t.Error("these are other credentials")
			}
			for _, secret := range []string{testKeyID, testSecret, testToken} {
				if got.Version == "" || strings.Contains(got.Version, secret) || strings.Contains(secret, got.Version) {
					t.Errorf("version %q", got.Version)
				}
			}
		})
	}
}

func TestAVersionTellsCredentialsApart(t *testing.T) {
	versions := map[string]string{}
	for _, c := range [][3]string{{"a", "b", "c"}, {"a", "b", ""}, {"a", "b", "d"}, {"a", "x", "c"}, {"x", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}} {
		withEnvironment(t, c[0]+"-", c[1]+"-", c[2])
		version := found(t, &Identity{}).Version
		if other, ok := versions[version]; ok {
			t.Errorf("%q and %q are both version %s", c, other, version)
		}
		versions[version] = fmt.Sprint(c)
		if again := found(t, &Identity{}).Version; again != version {
			t.Errorf("%q is version %s, and then %s", c, version, again)
		}
	}
}

func TestAnOperatorWithoutIdentityIsToldWhatToSet(t *testing.T) {
	for name, c := range map[string][2]string{"nothing": {"", ""}, "half a key": {testKeyID, ""}, "the other half": {"", testSecret}} {
		t.Run(name, func(t *testing.T) {
			withEnvironment(t, c[0], c[1], "")
			identity := &Identity{}
			failed := notFound(t, identity)
			for _, want := range []string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "RRSA", "spec.credentials.secretRef"} {
				if !strings.Contains(failed.Message, want) {
					t.Errorf("%q does not name %s", failed.Message, want)
				}
			}
			if again := notFound(t, identity); again.Error() != failed.Error() {
				t.Errorf("two equal failures differ:\n%s\n%s", failed, again)
			}
		})
	}
}

func TestWhatAServerOfCredentialsSaysIsNotRepeated(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, testSecret, http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	withEnvironment(t, "", "", "")
	t.Setenv("ALIBABA_CLOUD_CREDENTIALS_URI", server.URL+"/"+testToken)
	verifySecretless(t, notFound(t, &Identity{}), server.URL)
}

func TestAnIdentityThatComesLaterIsFound(t *testing.T) {
	withEnvironment(t, "", "", "")
	identity := &Identity{}
	_ = notFound(t, identity)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", testKeyID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", testSecret)
	if got := found(t, identity); got.AccessKeyID != testKeyID {
		t.Error("these are other credentials")
	}
}

func TestARefusedIdentityIsLookedForFromTheStart(t *testing.T) {
	withEnvironment(t, "", "", "")
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	writeProfile(t, filepath.Join(home, ".alibabacloud", "credentials"), "profile-key", "profile-secret")
	identity := &Identity{}
	old := found(t, identity)
	if old.AccessKeyID != "profile-key" {
		t.Fatal("these are not the profile's credentials")
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", testKeyID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", testSecret)
	if again := found(t, identity); again != old {
		t.Error("a chain that works was not kept")
	}
	identity.Refused(Account{}, old)
	if got := found(t, identity); got.AccessKeyID != testKeyID || got.Version == old.Version {
		t.Error("the environment was not asked again")
	}
}

func writeProfile(t *testing.T, path, keyID, secret string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	profile := fmt.Sprintf("[default]\ntype = access_key\naccess_key_id = %s\naccess_key_secret = %s\n", keyID, secret)
	if err := os.WriteFile(path, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
}

type chain func() (*providers.Credentials, error)

func (c chain) GetCredentials() (*providers.Credentials, error) { return c() }
func (chain) GetProviderName() string                           { return "test" }

func session(keyID string) *providers.Credentials {
	return &providers.Credentials{AccessKeyId: keyID, AccessKeySecret: testSecret, SecurityToken: testToken}
}

func TestTheLastGoodIdentityServesWhileSTSIsDown(t *testing.T) {
	withEnvironment(t, "", "", "")
	identity := &Identity{chain: chain(func() (*providers.Credentials, error) { return session("first"), nil })}
	first := found(t, identity)

	asked := 0
	down := chain(func() (*providers.Credentials, error) { asked++; return nil, errors.New("STS is down") })
	for range 5 {
		identity.chain = down
		if got := found(t, identity); got != first {
			t.Fatal("the last good credentials do not serve")
		}
	}
	if asked != 1 {
		t.Errorf("STS was asked %d times within %s", asked, refreshPause)
	}

	identity.retryAt = time.Now()
	identity.chain = chain(func() (*providers.Credentials, error) { return session("second"), nil })
	second := found(t, identity)
	if second.AccessKeyID != "second" {
		t.Fatal("newer credentials are not used once STS is back")
	}

	identity.Refused(Account{}, first)
	if got := found(t, identity); got != second {
		t.Error("newer credentials went with the refused ones")
	}
	identity.Refused(Account{}, second)
	_ = notFound(t, identity)
}

func TestAChainThatPanicsOrFindsHalfAKeyFindsNothing(t *testing.T) {
	withEnvironment(t, "", "", "")
	for name, broken := range map[string]chain{
		"panic":      func() (*providers.Credentials, error) { panic("nil field: " + testSecret) },
		"nothing":    func() (*providers.Credentials, error) { return nil, nil },
		"no key id":  func() (*providers.Credentials, error) { return session(""), nil },
		"no secret":  func() (*providers.Credentials, error) { return &providers.Credentials{AccessKeyId: testKeyID}, nil },
		"both":       func() (*providers.Credentials, error) { return session(testKeyID), errors.New(testSecret) },
		"just error": func() (*providers.Credentials, error) { return nil, errors.New(testSecret) },
	} {
		t.Run(name, func(t *testing.T) { _ = notFound(t, &Identity{chain: broken}) })
	}
}

func TestOneCallerAtATimeUsesTheChain(t *testing.T) {
	withEnvironment(t, testKeyID, testSecret, "")
	var inside, most atomic.Int32
	identity := &Identity{chain: chain(func() (*providers.Credentials, error) {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		pause(t.Context(), time.Millisecond)
		return session(testKeyID), nil
	})}
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for range 20 {
				if got, err := identity.Credentials(t.Context(), Account{}); err != nil || got.AccessKeyID != testKeyID {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d callers at once", most.Load())
	}
}

func TestIdentityIsSafeWhileCredentialsAreRefused(t *testing.T) {
	withEnvironment(t, testKeyID, testSecret, testToken)
	identity := &Identity{}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 50 {
				got, err := identity.Credentials(t.Context(), Account{})
				if err != nil {
					t.Error(err)
				}
				identity.Refused(Account{}, got)
			}
		})
	}
	group.Wait()
}

func TestWhoGivesUpWaitingForSTSLeavesTheOthersWaiting(t *testing.T) {
	withEnvironment(t, "", "", "")
	asked, answer := make(chan struct{}), make(chan struct{})
	identity := &Identity{chain: chain(func() (*providers.Credentials, error) {
		asked <- struct{}{}
		<-answer
		return session(testKeyID), nil
	})}
	other := make(chan error, 1)
	go func() {
		_, err := identity.Credentials(t.Context(), Account{})
		other <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := identity.Credentials(ctx, Account{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(answer)
	if err := <-other; err != nil {
		t.Error(err)
	}
}

func TestAnIdentityDoesNotPrintWhatItHolds(t *testing.T) {
	held := temporaryCredentials()
	identity := &Identity{last: &held}
	for _, printed := range []string{fmt.Sprintf("%+v", identity), fmt.Sprintf("%#v", identity)} {
		for _, secret := range []string{testKeyID, testSecret, testToken} {
			if strings.Contains(printed, secret) {
				t.Errorf("%q holds %q", printed, secret)
			}
		}
	}
}
