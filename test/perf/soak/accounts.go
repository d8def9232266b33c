// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
)

// An account is an access key as the simulator's file spells it.
type account struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret"`
	SecurityToken   string `json:"securityToken,omitempty"`
}

// words are what must never be seen again.
func (a account) words() []string {
	words := []string{a.AccessKeyID, a.AccessKeySecret}
	if a.SecurityToken != "" {
		words = append(words, a.SecurityToken)
	}
	return words
}

func (a account) secretData() map[string][]byte {
	data := map[string][]byte{"accessKeyId": []byte(a.AccessKeyID), "accessKeySecret": []byte(a.AccessKeySecret)}
	if a.SecurityToken != "" {
		data["securityToken"] = []byte(a.SecurityToken)
	}
	return data
}

// newAccount makes a key that was never used before; every second one is temporary.
func (s *soak) newAccount() account {
	s.keys++
	a := account{AccessKeyID: fmt.Sprintf("LTAI5tSoak%06d%s", s.keys, s.letters(8)), AccessKeySecret: s.letters(30)}
	if s.keys%2 == 0 {
		a.AccessKeyID = "STS." + s.letters(20)
		a.SecurityToken = "CAIS" + s.letters(40) + "+/" + s.letters(40) + "=="
	}
	s.vault = append(s.vault, a.words()...)
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

// plainForms are those of formsOf that stand in a request.
const plainForms = 3

// formsOf are the ways in which a word may be spelled in URLs and in Secrets.
func formsOf(word string) []string {
	escaped := url.QueryEscape(word)
	return []string{word, escaped, url.QueryEscape(escaped), base64.StdEncoding.EncodeToString([]byte(word))}
}

// configOf is a file for the simulator.
func configOf(accounts []account) (string, error) {
	content, err := json.Marshal(map[string]any{"accounts": accounts})
	return string(content), err
}

// writeAccounts has the simulator know exactly these, within a second or two.
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
