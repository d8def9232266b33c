// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// withEnvironment sets the variables of the access key, and hides all other providers.
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
	alicloudtest.VerifyPresentable(t, failed)
	if credentials != (Credentials{}) {
		t.Error("credentials besides an error")
	}
	return failed
}

func TestIdentityReadsTheEnvironment(t *testing.T) {
	for name, token := range map[string]string{"a key": "", "a temporary key": alicloudtest.Token} {
		t.Run(name, func(t *testing.T) {
			withEnvironment(t, alicloudtest.KeyID, alicloudtest.Secret, token)
			got := found(t, NewIdentity(time.Now, ""))
			if got.AccessKeyID != alicloudtest.KeyID || got.AccessKeySecret != alicloudtest.Secret || got.SecurityToken != token {
				t.Error("these are other credentials")
			}
			for _, secret := range []string{alicloudtest.KeyID, alicloudtest.Secret, alicloudtest.Token} {
				if got.Version == "" || strings.Contains(got.Version, secret) || strings.Contains(secret, got.Version) {
					t.Errorf("version %q", got.Version)
				}
			}
		})
	}
}

func TestVersionDiffersBetweenCredentials(t *testing.T) {
	versions := map[string]string{}
	for _, c := range [][3]string{{"a", "b", "c"}, {"a", "b", ""}, {"a", "b", "d"}, {"a", "x", "c"}, {"x", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}} {
		withEnvironment(t, c[0]+"-", c[1]+"-", c[2])
		version := found(t, NewIdentity(time.Now, "")).Version
		if other, ok := versions[version]; ok {
			t.Errorf("%q and %q are both version %s", c, other, version)
		}
		versions[version] = fmt.Sprint(c)
		if again := found(t, NewIdentity(time.Now, "")).Version; again != version {
			t.Errorf("%q is version %s, and then %s", c, version, again)
		}
	}
}

func TestMissingIdentitySaysWhatToSet(t *testing.T) {
	withEnvironment(t, "", "", "")
	identity := NewIdentity(time.Now, t.TempDir())
	failed := notFound(t, identity)
	for _, want := range []string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "--credentials-path", "RRSA", "spec.credentials.secretRef"} {
		if !strings.Contains(failed.Message, want) {
			t.Errorf("%q does not name %s", failed.Message, want)
		}
	}
	if again := notFound(t, identity); again.Error() != failed.Error() {
		t.Errorf("two equal failures differ:\n%s\n%s", failed, again)
	}
}

// The profile in the home would serve otherwise.
func TestIncompleteIdentityMentionsTheMissingPart(t *testing.T) {
	const id, secret, token = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"
	const role, issuer, file = "ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
	for name, c := range map[string]struct {
		set     []string
		files   []string
		missing []string
	}{
		"no secret":             {set: []string{id}, missing: []string{secret + " has no value"}},
		"no key id":             {set: []string{secret}, missing: []string{id + " has no value"}},
		"a token alone":         {set: []string{token}, missing: []string{id + " has no value"}},
		"no key id, but token":  {set: []string{secret, token}, missing: []string{id + " has no value"}},
		"a role without token":  {set: []string{role, issuer}, missing: []string{"RRSA", file + " is not set"}},
		"a role without issuer": {set: []string{role, file}, missing: []string{"RRSA", issuer + " is not set"}},
		"no role":               {set: []string{issuer, file}, missing: []string{"RRSA", role + " is not set"}},
		"a token of a role":     {set: []string{file}, missing: []string{role + " and " + issuer + " is not set"}},
		"a folder, no secret":   {files: []string{"accessKeyId", "securityToken"}, missing: []string{"--credentials-path", "accessKeySecret has no value"}},
		"a folder, no key id":   {files: []string{"accessKeySecret"}, missing: []string{"accessKeyId has no value"}},
		"a folder with a token": {files: []string{"securityToken"}, missing: []string{"accessKeyId has no value"}},
	} {
		t.Run(name, func(t *testing.T) {
			withEnvironment(t, "", "", "")
			writeProfile(t, filepath.Join(os.Getenv("HOME"), ".alibabacloud", "credentials"), "profile-key", "profile-secret")
			for _, variable := range c.set {
				t.Setenv(variable, alicloudtest.Secret)
			}
			folder := t.TempDir()
			for _, file := range c.files {
				writeKeyFile(t, folder, file, alicloudtest.Secret)
			}
			failed := notFound(t, NewIdentity(time.Now, folder))
			for _, want := range c.missing {
				if !strings.Contains(failed.Message, want) {
					t.Errorf("%q does not say %q", failed.Message, want)
				}
			}
			alicloudtest.VerifySecretless(t, failed)
		})
	}
}

func writeKeyFile(t *testing.T, folder, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResponseOfACredentialsServerIsNotQuoted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, alicloudtest.Secret, http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	withEnvironment(t, "", "", "")
	t.Setenv("ALIBABA_CLOUD_CREDENTIALS_URI", server.URL+"/"+alicloudtest.Token)
	_, err := NewIdentity(time.Now, "").Credentials(t.Context(), Account{})
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != ServiceError {
		t.Fatal(err)
	}
	alicloudtest.VerifyPresentable(t, failed)
	alicloudtest.VerifySecretless(t, failed, server.URL)
}

func TestIdentityIsFoundAfterAFailedSearch(t *testing.T) {
	withEnvironment(t, "", "", "")
	clock := &stopwatch{}
	identity := NewIdentity(clock.Now, "")
	_ = notFound(t, identity)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", alicloudtest.KeyID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", alicloudtest.Secret)
	_ = notFound(t, identity) // no fetch that soon
	clock.advance(fetchPause)
	if got := found(t, identity); got.AccessKeyID != alicloudtest.KeyID {
		t.Error("these are other credentials")
	}
}

func TestRefusedIdentityIsSearchedFromTheFirstProvider(t *testing.T) {
	withEnvironment(t, "", "", "")
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	writeProfile(t, filepath.Join(home, ".alibabacloud", "credentials"), "profile-key", "profile-secret")
	clock := &stopwatch{}
	identity := NewIdentity(clock.Now, "")
	old := found(t, identity)
	if old.AccessKeyID != "profile-key" {
		t.Fatal("these are not the profile's credentials")
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", alicloudtest.KeyID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", alicloudtest.Secret)
	clock.advance(fetchPause)
	if again := refetched(t, identity); again != old {
		t.Error("a provider that works was not kept")
	}
	identity.Refused(Account{}, old)
	if got := found(t, identity); got.AccessKeyID != alicloudtest.KeyID || got.Version == old.Version {
		t.Error("the environment was not read again")
	}
}

// The kubelet replaces the files of a Secret while the operator runs.
func TestAccessKeyInAFolderIsReadAgain(t *testing.T) {
	withEnvironment(t, "", "", "")
	folder := t.TempDir()
	clock := &stopwatch{}
	identity := NewIdentity(clock.Now, folder)
	_ = notFound(t, identity) // an optional Secret that does not exist

	writeKeyFile(t, folder, "accessKeyId", "first")
	writeKeyFile(t, folder, "accessKeySecret", alicloudtest.Secret)
	clock.advance(fetchPause)
	first := found(t, identity)
	if first.AccessKeyID != "first" || first.AccessKeySecret != alicloudtest.Secret || first.SecurityToken != "" {
		t.Error("these are other credentials")
	}
	writeKeyFile(t, folder, "accessKeyId", "second")
	writeKeyFile(t, folder, "securityToken", alicloudtest.Token)
	clock.advance(fetchPause)
	second := refetched(t, identity)
	if second.AccessKeyID != "second" || second.SecurityToken != alicloudtest.Token || second.Version == first.Version {
		t.Error("the key of before still serves")
	}
	for _, file := range []string{"accessKeyId", "accessKeySecret", "securityToken"} {
		if err := os.Remove(filepath.Join(folder, file)); err != nil {
			t.Fatal(err)
		}
	}
	clock.advance(fetchPause)
	if got := refetched(t, identity); got != second {
		t.Error("a key that the API accepts is no longer used")
	}
	writeProfile(t, filepath.Join(os.Getenv("HOME"), ".alibabacloud", "credentials"), "profile-key", "profile-secret")
	identity.Refused(Account{}, second)
	if failed := notFound(t, identity); !strings.Contains(failed.Message, "--credentials-path") || !strings.Contains(failed.Message, folder) {
		t.Error(failed.Message)
	}
}

// An id of one key with the secret of another would be refused, as a key that is
// wrong, and half a key calls a person.
func TestAccessKeyIsReadWholeDuringAReplacement(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	files := []string{"accessKeyId", "accessKeySecret", "securityToken"}
	for _, file := range files {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(folder, file)); err != nil {
			t.Fatal(err)
		}
	}
	// As the kubelet does it.
	replace := func(n int) {
		version := fmt.Sprintf("..%d", n)
		next := filepath.Join(folder, "..data_tmp")
		problems := []error{os.Mkdir(filepath.Join(folder, version), 0o700)}
		for _, file := range files {
			problems = append(problems, os.WriteFile(filepath.Join(folder, version, file), []byte(version), 0o600))
		}
		problems = append(problems, os.Symlink(version, next), os.Rename(next, filepath.Join(folder, "..data")),
			os.RemoveAll(filepath.Join(folder, fmt.Sprintf("..%d", n-1))))
		if err := errors.Join(problems...); err != nil {
			t.Error(err)
		}
	}
	replace(0)
	ended := make(chan struct{})
	var replacing sync.WaitGroup
	replacing.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-ended:
				return
			default:
				replace(n)
			}
		}
	})
	whole := 0
	for range 5_000 {
		got, err := folderKey(folder).GetCredentials()
		if failed, ok := errors.AsType[*Error](err); ok && failed.Kind == ServiceError {
			continue // every read met a replacement
		}
		if err != nil || got.AccessKeyId != got.AccessKeySecret || got.AccessKeyId != got.SecurityToken {
			t.Errorf("got %+v, %v", got, err)
			break
		}
		whole++
	}
	close(ended)
	replacing.Wait()
	if whole == 0 {
		t.Error("no key was ever read")
	}
}

func TestUnreadableFolderIsAFailure(t *testing.T) {
	withEnvironment(t, "", "", "")
	writeProfile(t, filepath.Join(os.Getenv("HOME"), ".alibabacloud", "credentials"), "profile-key", "profile-secret")
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "accessKeyId"), 0o700); err != nil {
		t.Fatal(err)
	}
	if failed := notFound(t, NewIdentity(time.Now, folder)); !strings.Contains(failed.Message, filepath.Join(folder, "accessKeyId")+" cannot be read") {
		t.Error(failed.Message)
	}
	if err := os.Remove(filepath.Join(folder, "accessKeyId")); err != nil {
		t.Fatal(err)
	}
	writeKeyFile(t, folder, "accessKeyId", alicloudtest.KeyID)
	writeKeyFile(t, folder, "accessKeySecret", strings.Repeat("s", MaxKey+1))
	if failed := notFound(t, NewIdentity(time.Now, folder)); !strings.Contains(failed.Message, "accessKeySecret has more than 16 KiB") {
		t.Error(failed.Message)
	}
}

// Credentials that are refused at once stay in use for a moment, so that a fleet
// makes few requests to STS, and are dropped then, also while STS is down.
func TestRefusedCredentialsAreDroppedWhileSTSIsDown(t *testing.T) {
	t.Parallel()

	var next error
	identity, clock := identityOf(func() (*providers.Credentials, error) {
		if next != nil {
			return nil, next
		}
		return session("first"), nil
	})
	first := found(t, identity)
	clock.advance(fetchPause / 2)
	identity.Refused(Account{}, first)
	next = &url.Error{Op: "Post", URL: "https://sts.aliyuncs.com/", Err: syscall.ECONNREFUSED}
	if got := found(t, identity); got != first {
		t.Error("they do not serve for their moment")
	}
	for range 5 {
		clock.advance(fetchPause / 2)
		_, err := identity.Credentials(t.Context(), Account{})
		if failed, ok := errors.AsType[*Error](err); !ok || failed.Kind != EndpointUnreachable {
			t.Fatalf("got %v", err)
		}
	}
	next = nil
	clock.advance(fetchPause)
	if got := found(t, identity); got != first {
		t.Error("they are not found again")
	}
}

// A provider that was in use stays the identity, also while it fails.
func TestNoOtherIdentityReplacesTheOneInUse(t *testing.T) {
	t.Parallel()

	down := false
	clock := &stopwatch{}
	identity := NewIdentity(clock.Now, "")
	identity.search = func() []provider {
		return []provider{
			{name: "nothing", CredentialsProvider: providerFunc(func() (*providers.Credentials, error) { return nil, errNoKey })},
			{name: "first", CredentialsProvider: providerFunc(func() (*providers.Credentials, error) {
				if down {
					return nil, &url.Error{Op: "Get", URL: "http://100.100.100.200/", Err: syscall.ECONNREFUSED}
				}
				return session("first"), nil
			})},
			{name: "other", CredentialsProvider: providerFunc(func() (*providers.Credentials, error) { return session("other"), nil })},
		}
	}
	first := found(t, identity)
	down = true
	clock.advance(fetchPause)
	identity.Refused(Account{}, first)
	_, err := identity.Credentials(t.Context(), Account{})
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != EndpointUnreachable || !strings.Contains(failed.Message, "(first)") {
		t.Fatalf("got %v", err)
	}
	down = false
	clock.advance(fetchPause)
	if got := found(t, identity); got.AccessKeyID != "first" {
		t.Error("these are other credentials")
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

type providerFunc func() (*providers.Credentials, error)

func (a providerFunc) GetCredentials() (*providers.Credentials, error) { return a() }
func (providerFunc) GetProviderName() string                           { return "test" }

// identityOf has one provider that was meant, and the clock.
func identityOf(fetch providerFunc) (*Identity, *stopwatch) {
	clock := &stopwatch{}
	identity := NewIdentity(clock.Now, "")
	identity.search = func() []provider {
		return []provider{{CredentialsProvider: fetch, name: "test", configured: true, remedy: "check it"}}
	}
	return identity, clock
}

// stopwatch is a clock that only the test moves.
type stopwatch struct {
	mu sync.Mutex
	at time.Duration
}

func (s *stopwatch) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Unix(1_700_000_000, 0).Add(s.at)
}

func (s *stopwatch) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at += d
}

// refetched returns the credentials in use after the fetch that was due.
func refetched(t *testing.T, identity *Identity) Credentials {
	t.Helper()
	_ = found(t, identity)                                                     // fetches in the background
	_, _, _ = identity.fetches.Do("", func() (any, error) { return nil, nil }) //nolint:nilnil // waits for it
	return found(t, identity)
}

func session(keyID string) *providers.Credentials {
	return &providers.Credentials{AccessKeyId: keyID, AccessKeySecret: alicloudtest.Secret, SecurityToken: alicloudtest.Token}
}

func TestLastCredentialsStayInUseWhileSTSIsDown(t *testing.T) {
	t.Parallel()

	next, fetched := session("first"), 0
	identity, clock := identityOf(func() (*providers.Credentials, error) {
		fetched++
		if next == nil {
			return nil, errors.New("STS is down")
		}
		return next, nil
	})
	first := found(t, identity)

	next, fetched = nil, 0
	for range 3 {
		clock.advance(fetchPause)
		for range 5 {
			if got := refetched(t, identity); got != first {
				t.Fatal("the last good credentials do not serve")
			}
		}
	}
	if fetched != 3 {
		t.Errorf("STS was called %d times in 3 × %s", fetched, fetchPause)
	}

	next = session("second")
	clock.advance(fetchPause)
	second := refetched(t, identity)
	if second.AccessKeyID != "second" {
		t.Fatal("newer credentials are not used once STS is back")
	}
	identity.Refused(Account{}, first)
	if got := found(t, identity); got != second {
		t.Error("newer credentials went with the refused ones")
	}
	next = nil
	identity.Refused(Account{}, second)
	if _, err := identity.Credentials(t.Context(), Account{}); err == nil {
		t.Error("refused credentials still serve")
	}
}

func TestCallsDoNotWaitForNewerCredentials(t *testing.T) {
	t.Parallel()

	hang := make(chan struct{})
	hanging := false
	identity, clock := identityOf(func() (*providers.Credentials, error) {
		if hanging {
			<-hang
			return session("second"), nil
		}
		return session("first"), nil
	})
	first := found(t, identity)
	hanging = true
	clock.advance(time.Hour)
	for range 10 {
		if got := found(t, identity); got != first {
			t.Fatal("these are other credentials")
		}
	}
	close(hang)
	if got := refetched(t, identity); got.AccessKeyID != "second" {
		t.Error("the late key is not used")
	}
}

func TestRefusedFleetFetchesAtMostOncePerPause(t *testing.T) {
	t.Parallel()

	fetched := 0
	identity, clock := identityOf(func() (*providers.Credentials, error) { fetched++; return session("revoked"), nil })
	for range 3 {
		for range 1000 {
			identity.Refused(Account{}, found(t, identity))
		}
		clock.advance(fetchPause)
	}
	if fetched > 4 {
		t.Errorf("%d calls within 3 × %s", fetched, fetchPause)
	}
}

func TestProviderThatPanicsOrReturnsHalfAKeyFails(t *testing.T) {
	t.Parallel()

	for name, broken := range map[string]providerFunc{
		"panic":     func() (*providers.Credentials, error) { panic("nil field: " + alicloudtest.Secret) },
		"nothing":   func() (*providers.Credentials, error) { return nil, nil },
		"no key id": func() (*providers.Credentials, error) { return session(""), nil },
		"no secret": func() (*providers.Credentials, error) {
			return &providers.Credentials{AccessKeyId: alicloudtest.KeyID}, nil
		},
		"both": func() (*providers.Credentials, error) {
			return session(alicloudtest.KeyID), errors.New(alicloudtest.Secret)
		},
		"just error": func() (*providers.Credentials, error) { return nil, errors.New(alicloudtest.Secret) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			identity, _ := identityOf(broken)
			credentials, err := identity.Credentials(t.Context(), Account{})
			var failed *Error
			if !errors.As(err, &failed) || failed.Kind != ServiceError || credentials != (Credentials{}) {
				t.Fatalf("got (%v, %v)", credentials, err)
			}
			alicloudtest.VerifyPresentable(t, failed)
			alicloudtest.VerifySecretless(t, failed)
		})
	}
}

func TestProvidersAreUsedByOneGoroutineAtATime(t *testing.T) {
	t.Parallel()

	var inside, most atomic.Int32
	identity, clock := identityOf(func() (*providers.Credentials, error) {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		pause(t.Context(), time.Millisecond)
		return session(alicloudtest.KeyID), nil
	})
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for range 20 {
				clock.advance(fetchPause)
				if got, err := identity.Credentials(t.Context(), Account{}); err != nil || got.AccessKeyID != alicloudtest.KeyID {
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

func TestIdentityIsSafeForConcurrentRefusals(t *testing.T) {
	withEnvironment(t, alicloudtest.KeyID, alicloudtest.Secret, alicloudtest.Token)
	clock := &stopwatch{}
	identity := NewIdentity(clock.Now, "")
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 50 {
				clock.advance(fetchPause / 3)
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

func TestCancelledCallerDoesNotStopTheFetch(t *testing.T) {
	t.Parallel()

	fetched, respond := make(chan struct{}), make(chan struct{})
	identity, _ := identityOf(func() (*providers.Credentials, error) {
		fetched <- struct{}{}
		<-respond
		return session(alicloudtest.KeyID), nil
	})
	other := make(chan error, 1)
	go func() {
		_, err := identity.Credentials(t.Context(), Account{})
		other <- err
	}()
	<-fetched
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := identity.Credentials(ctx, Account{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(respond)
	if err := <-other; err != nil {
		t.Error(err)
	}
}

func TestIdentityDoesNotPrintItsCredentials(t *testing.T) {
	t.Parallel()

	current := temporaryCredentials()
	identity := &Identity{last: &current}
	for _, printed := range []string{fmt.Sprintf("%+v", identity), fmt.Sprintf("%#v", identity)} {
		for _, secret := range []string{alicloudtest.KeyID, alicloudtest.Secret, alicloudtest.Token} {
			if strings.Contains(printed, secret) {
				t.Errorf("%q contains %q", printed, secret)
			}
		}
	}
}
