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

// Files of a folder with an access key: the keys of a Secret.
const (
	fileAccessKeyID     = "accessKeyId"
	fileAccessKeySecret = "accessKeySecret"
	fileSecurityToken   = "securityToken"
)

// MaxKey is the longest value that can be a key or a token, in bytes. Those of
// Alibaba Cloud have a kilobyte or two, servers refuse requests that are signed
// with more, and every word of a response is compared with them.
const MaxKey = 16 << 10

var errNoKey = errors.New("no access key")

// key is an access key: its id, its secret, and its token, if any.
type key [3]string

// keyPair is a provider that reads an access key from three variables or files.
// Half a key is an error: no other identity replaces an incomplete one.
type keyPair struct {
	name string
	// sources are the variables or files of the id, the secret and the token.
	sources [3]string
	read    func() (key, error)
}

// environmentKey is the access key in the environment.
func environmentKey() keyPair {
	variables := [3]string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"}
	return keyPair{environmentName, variables, func() (found key, _ error) {
		for i, variable := range variables {
			found[i] = strings.TrimSpace(os.Getenv(variable))
		}
		return found, nil
	}}
}

// folderKey is the access key in the files of a folder, such as that of a mounted Secret.
func folderKey(folder string) keyPair {
	files := [3]string{fileAccessKeyID, fileAccessKeySecret, fileSecurityToken}
	var paths [3]string
	for i, file := range files {
		paths[i] = filepath.Join(folder, file)
	}
	return keyPair{folderVariable, paths, func() (key, error) {
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

// versionOf is the folder that has the files of a mounted Secret now. The kubelet
// makes a folder for each version and moves the link ..data to it, so that a reader
// does not mix the id of one key with the secret of another.
//
// It reads the link alone: the folder that the link named may be removed already,
// and a reader must not confuse it with the files behind the new link.
func versionOf(folder string) string {
	version, err := os.Readlink(filepath.Join(folder, "..data"))
	switch {
	case err != nil:
		return folder
	case filepath.IsAbs(version):
		return version
	default:
		return filepath.Join(folder, version)
	}
}

// readFiles reads the files of a folder; a missing file is empty.
func readFiles(folder string, files [3]string) (found key, _ error) {
	for i, file := range files {
		content, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return key{}, err
		}
		found[i] = strings.TrimSpace(string(content))
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
	for i, value := range found {
		switch {
		case value == "" && i < 2:
			return nil, ownFailure(k.name, CredentialsNotFound, "%s has no value, though other parts of an access key are there: add it", CleanField(k.sources[i]))
		case len(value) > MaxKey:
			return nil, ownFailure(k.name, CredentialsNotFound, "%s has more than %d KiB: correct it", CleanField(k.sources[i]), MaxKey>>10)
		}
	}
	return &providers.Credentials{AccessKeyId: found[0], AccessKeySecret: found[1], SecurityToken: found[2]}, nil
}

// GetProviderName implements providers.CredentialsProvider.
func (k keyPair) GetProviderName() string { return k.name }

// ownFailure is a failure of the operator's own identity, in the name of a provider.
func ownFailure(name string, kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: "the operator's own credentials (" + name + "): " + fmt.Sprintf(format, args...)}
}
