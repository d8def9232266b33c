// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// Files of a folder that holds an access key, which are the keys of a Secret.
const (
	fileAccessKeyID     = "accessKeyId"
	fileAccessKeySecret = "accessKeySecret"
	fileSecurityToken   = "securityToken"
)

// MaxKey is the longest value that can be a key or a token, in bytes. Those of
// Alibaba Cloud have a kilobyte or two, no request that is signed with more gets
// through, and every word of an answer is compared with them.
const MaxKey = 16 << 10

var errNoKey = errors.New("no access key")

// key is an access key as it was found: its id, its secret, and its token, if any.
type key [3]string

// keyPair is a provider that reads an access key from three places. Half a key
// is an error: no other identity stands in for one that was written down wrong.
type keyPair struct {
	name string
	// places say where the id, the secret and the token are.
	places [3]string
	read   func() (key, error)
}

// environmentKey is the access key in the environment.
func environmentKey() keyPair {
	places := [3]string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"}
	return keyPair{environmentName, places, func() (found key, _ error) {
		for i, variable := range places {
			found[i] = strings.TrimSpace(os.Getenv(variable))
		}
		return found, nil
	}}
}

// folderKey is the access key in the files of a folder, such as that of a mounted Secret.
func folderKey(folder string) keyPair {
	files := [3]string{fileAccessKeyID, fileAccessKeySecret, fileSecurityToken}
	var places [3]string
	for i, file := range files {
		places[i] = filepath.Join(folder, file)
	}
	return keyPair{folderVariable, places, func() (key, error) {
		const attempts = 4
		for range attempts {
			version := versionOf(folder)
			found, err := readFiles(version, files)
			if version == versionOf(folder) {
				return found, err
			}
		}
		return key{}, ownFailure(folderVariable, ServiceError, "the files change while they are read")
	}}
}

// versionOf is where the files of a folder are now. The kubelet makes a folder
// for each version of a Secret, and turns the link ..data to it, so that no
// reader mixes the id of one key with the secret of another.
func versionOf(folder string) string {
	version, err := filepath.EvalSymlinks(filepath.Join(folder, "..data"))
	if err != nil {
		return folder
	}
	return version
}

// readFiles reads what is there of the files; one that does not exist is empty.
func readFiles(folder string, files [3]string) (found key, _ error) {
	for i, file := range files {
		held, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return key{}, err
		}
		found[i] = strings.TrimSpace(string(held))
	}
	return found, nil
}

// GetCredentials implements providers.CredentialsProvider.
func (k keyPair) GetCredentials() (*providers.Credentials, error) {
	found, err := k.read()
	if err != nil {
		return nil, err
	}
	if found == (key{}) {
		return nil, errNoKey
	}
	for i, held := range found {
		switch {
		case held == "" && i < 2:
			return nil, ownFailure(k.name, CredentialsNotFound, "%s has no value, though other parts of an access key are there: add it", cleanField(k.places[i]))
		case len(held) > MaxKey:
			return nil, ownFailure(k.name, CredentialsNotFound, "%s has more than %d KiB: correct it", cleanField(k.places[i]), MaxKey>>10)
		}
	}
	return &providers.Credentials{AccessKeyId: found[0], AccessKeySecret: found[1], SecurityToken: found[2]}, nil
}

// GetProviderName implements providers.CredentialsProvider.
func (k keyPair) GetProviderName() string { return k.name }

// ownFailure is a failure of the operator's own identity, by the name of the provider.
func ownFailure(name string, kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: "the operator's own credentials (" + name + "): " + fmt.Sprintf(format, args...)}
}
