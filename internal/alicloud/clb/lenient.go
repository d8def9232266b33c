// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"encoding/json"
	"errors"
	"strconv"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	jsoniter "github.com/json-iterator/go"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// noPort is for a port that is no number: readRow finds it odd.
const noPort = -1

// caseSensitive matches keys as the SDK does, and keeps numbers as they are written.
var caseSensitive = jsoniter.Config{CaseSensitive: true, UseNumber: true}.Froze()

// decodeRows decodes the rows one by one where the SDK refused a whole document
// for one of them, such as for a port in words. It returns err where that was not
// the reason, and nil where readHealth has to verify the document.
func decodeRows(response *sdkslb.DescribeHealthStatusResponse, err error) error {
	refusal, ok := errors.AsType[*sdkerrors.ClientError](err)
	if !ok || refusal.ErrorCode() != sdkerrors.JsonUnmarshalErrorCode {
		return err
	}
	var document struct {
		RequestID      string `json:"RequestId"`
		BackendServers struct {
			BackendServer []any `json:"BackendServer"`
		} `json:"BackendServers"`
	}
	if caseSensitive.Unmarshal(response.GetHttpContentBytes(), &document) != nil {
		return err
	}
	response.RequestId = document.RequestID
	rows := make([]sdkslb.BackendServer, len(document.BackendServers.BackendServer))
	for i, row := range document.BackendServers.BackendServer {
		decodeRow(row, &rows[i])
	}
	response.BackendServers.BackendServer = rows
	return nil
}

// decodeRow sets the fields of a row that can be read; none where the row is no object.
func decodeRow(value any, row *sdkslb.BackendServer) {
	object, _ := value.(map[string]any)
	texts, ports := rowFields(row, &alicloud.Backend{})
	for i := range texts {
		*texts[i].from = textOf(object[texts[i].key])
	}
	for i := range ports {
		*ports[i].from = numberOf(object[ports[i].key])
	}
}

// textOf is the text that the SDK would decode; "" for a list or an object.
func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	default:
		return ""
	}
}

// numberOf is a whole number, also one in quotes; 0 where there is none, and
// noPort for anything else.
func numberOf(value any) int {
	if value == nil || value == "" {
		return 0
	}
	number, err := strconv.Atoi(textOf(value))
	if err != nil {
		return noPort
	}
	return number
}
