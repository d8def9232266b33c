// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

const (
	typeJSON  = "application/json;charset=utf-8"
	typeXML   = "text/xml;charset=utf-8"
	xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>`
)

// document is a response that is ready to be sent.
type document struct {
	status      int
	contentType string
	header      http.Header
	body        []byte
	// padding is how many blanks precede the body.
	padding int64
}

type healthResponse struct {
	XMLName        xml.Name `json:"-" xml:"DescribeHealthStatusResponse"`
	RequestID      string   `json:"RequestId" xml:"RequestId"`
	BackendServers rowList  `json:"BackendServers" xml:"BackendServers"`
}

type rowList struct {
	BackendServer []row `json:"BackendServer" xml:"BackendServer"`
}

// row has the API's names; fields that are not configured are not sent.
type row struct {
	ServerID           string `json:"ServerId" xml:"ServerId"`
	ServerHealthStatus string `json:"ServerHealthStatus" xml:"ServerHealthStatus"`
	ServerIP           string `json:"ServerIp,omitempty" xml:"ServerIp,omitempty"`
	EniHost            string `json:"EniHost,omitempty" xml:"EniHost,omitempty"`
	ListenerPort       int    `json:"ListenerPort,omitempty" xml:"ListenerPort,omitempty"`
	Port               int    `json:"Port,omitempty" xml:"Port,omitempty"`
	Protocol           string `json:"Protocol,omitempty" xml:"Protocol,omitempty"`
	Type               string `json:"Type,omitempty" xml:"Type,omitempty"`
}

type errorResponse struct {
	XMLName   xml.Name `json:"-" xml:"Error"`
	RequestID string   `json:"RequestId" xml:"RequestId"`
	HostID    string   `json:"HostId" xml:"HostId"`
	Code      string   `json:"Code" xml:"Code"`
	Message   string   `json:"Message" xml:"Message"`
	Recommend string   `json:"Recommend" xml:"Recommend"`
}

func healthDocument(req *request, requestID string, backends []Backend) document {
	rows := make([]row, len(backends))
	for i, b := range backends {
		rows[i] = row{
			ServerID: b.ServerID, ServerHealthStatus: b.ServerHealthStatus, ServerIP: b.ServerIP, EniHost: b.EniHost,
			ListenerPort: b.ListenerPort, Port: b.Port, Protocol: b.ListenerProtocol, Type: b.Type,
		}
	}
	return encode(http.StatusOK, req.wantsJSON(), healthResponse{RequestID: requestID, BackendServers: rowList{rows}})
}

func errorDocument(req *request, requestID string, err *apiError) document {
	doc := encode(err.status, req.wantsJSON(), errorResponse{
		RequestID: requestID,
		HostID:    req.http.Host,
		Code:      err.code,
		Message:   err.message,
		Recommend: "https://error-center.aliyun.com/status/search?Keyword=" + url.QueryEscape(err.code) + "&source=PopGw",
	})
	if err.retryAfterSeconds > 0 {
		doc.header = http.Header{"Retry-After": {strconv.Itoa(err.retryAfterSeconds)}}
	}
	return doc
}

// encode cannot fail: the documents have strings and numbers only, and both encoders replace invalid text.
func encode(status int, asJSON bool, response any) document {
	var body bytes.Buffer
	if asJSON {
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(response)
		return document{status: status, contentType: typeJSON, body: bytes.TrimSpace(body.Bytes())}
	}
	body.WriteString(xmlHeader)
	_ = xml.NewEncoder(&body).Encode(response)
	return document{status: status, contentType: typeXML, body: body.Bytes()}
}

// newRequestID has the shape of the real ones: a version 4 UUID in capitals.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
