// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
)

// An account is an access key in the format of the simulator's file.
type account struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret"`
	SecurityToken   string `json:"securityToken,omitempty"`
}

// values must never appear in any output.
func (a account) values() []string {
	values := []string{a.AccessKeyID, a.AccessKeySecret}
	if a.SecurityToken != "" {
		values = append(values, a.SecurityToken)
	}
	return values
}

func (a account) secretData() map[string][]byte {
	data := map[string][]byte{"accessKeyId": []byte(a.AccessKeyID), "accessKeySecret": []byte(a.AccessKeySecret)}
	if a.SecurityToken != "" {
		data["securityToken"] = []byte(a.SecurityToken)
	}
	return data
}

// newAccount returns a new key; every second one is temporary.
func (s *soak) newAccount() account {
	s.keys++
	a := account{AccessKeyID: fmt.Sprintf("LTAI5tSoak%06d%s", s.keys, s.letters(8)), AccessKeySecret: s.letters(30)}
	if s.keys%2 == 0 {
		a.AccessKeyID = "STS." + s.letters(20)
		a.SecurityToken = "CAIS" + s.letters(40) + "+/" + s.letters(40) + "=="
	}
	s.secretValues = append(s.secretValues, a.values()...)
	return a
}

func (s *soak) letters(n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.random.IntN(len(alphabet))]
	}
	return string(b)
}

// requestEncodings is how many of encodingsOf can occur in a request.
const requestEncodings = 3

// encodingsOf returns a value as it can appear in URLs and in Secrets.
func encodingsOf(value string) []string {
	escaped := url.QueryEscape(value)
	return []string{value, escaped, url.QueryEscape(escaped), base64.StdEncoding.EncodeToString([]byte(value))}
}

// configOf returns the simulator's file.
func configOf(accounts []account) (string, error) {
	content, err := json.Marshal(map[string]any{"accounts": accounts})
	return string(content), err
}

// writeAccounts makes the simulator accept exactly the current keys, within two seconds.
func (s *soak) writeAccounts() error {
	accounts := []account{s.own}
	for i := range s.secrets {
		accounts = append(accounts, s.secrets[i].valid...)
	}
	content, err := configOf(accounts)
	if err != nil {
		return err
	}
	next := s.Simulator.Config + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.Simulator.Config)
}
