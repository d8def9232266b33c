// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"net/http"
	"time"
)

const timeLayout = "2006-01-02T15:04:05Z"

// admit makes the checks of the gateway before the product sees a call, in the gateway's order: API, key,
// time, signature, replay, and rate. The account is nil when any key is accepted.
func (s *Server) admit(req *request) (*account, *apiError) {
	if err := checkTarget(req); err != nil {
		return nil, err
	}
	now := s.now()
	if s.keys.open() {
		return nil, s.admitAnyone(req, now)
	}
	caller, err := s.identify(req)
	if err != nil {
		return nil, err
	}
	if err := checkTime(req.timestamp, now); err != nil {
		return nil, err
	}
	if err := checkSignature(req, caller.AccessKeySecret); err != nil {
		return nil, err
	}
	if !s.nonces.use(req.accessKeyID, req.nonce, now) {
		return nil, errNonceUsed
	}
	if !caller.allow(req.product.name, now) {
		return nil, errThrottled
	}
	return caller, nil
}

func checkTarget(req *request) *apiError {
	switch {
	case req.http.Method != http.MethodGet && req.http.Method != http.MethodPost:
		return errMethod
	case req.http.URL.Path != "/":
		return errAction
	case req.action == "":
		return errMissingCommon("Action")
	case req.version == "":
		return errMissingCommon("Version")
	case req.product == nil:
		return errVersion
	case !req.product.has(req.action):
		return errAction
	}
	return nil
}

// admitAnyone accepts a bare URL, but the time and nonce of a real client must still be valid.
func (s *Server) admitAnyone(req *request, now time.Time) *apiError {
	if req.timestamp != "" {
		if err := checkTime(req.timestamp, now); err != nil {
			return err
		}
	}
	if req.nonce != "" && !s.nonces.use(req.accessKeyID, req.nonce, now) {
		return errNonceUsed
	}
	return nil
}

func (s *Server) identify(req *request) (*account, *apiError) {
	for _, common := range []struct{ name, value string }{
		{"AccessKeyId", req.accessKeyID},
		{"Timestamp", req.timestamp},
		{"SignatureNonce", req.nonce},
	} {
		if common.value == "" {
			return nil, errMissingCommon(common.name)
		}
	}
	caller, known := s.keys.get(req.accessKeyID)
	switch {
	case !known:
		return nil, errAccessKey
	case req.securityToken == "" && caller.SecurityToken != "":
		return nil, errMissingCommon("SecurityToken")
	case !sameSignature(caller.SecurityToken, req.securityToken):
		return nil, errToken
	}
	return caller, nil
}

func checkTime(timestamp string, now time.Time) *apiError {
	at, err := time.Parse(timeLayout, timestamp)
	if err != nil {
		return errTimeFormat
	}
	if now.Sub(at).Abs() > clockSkew {
		return errTimeExpired
	}
	return nil
}

func checkSignature(req *request, secret string) *apiError {
	if req.acs3 != nil {
		return checkACS3Signature(req, secret)
	}
	return checkRPCSignature(req, secret)
}
