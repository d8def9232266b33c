// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"encoding/json"
	"errors"
	"strconv"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	jsoniter "github.com/json-iterator/go"
)

// noPort stands for a port that is no number: readRow finds it odd.
const noPort = -1

// caseSensitive reads keys as the SDK does, and keeps numbers as they are written.
var caseSensitive = jsoniter.Config{CaseSensitive: true, UseNumber: true}.Froze()

// reread reads the rows one by one where the SDK gave a document up because of
// one of them, such as for a port in words. It returns err where that was not
// why, and the document is left for readAnswer to check otherwise.
func reread(response *sdkslb.DescribeHealthStatusResponse, err error) error {
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
		rows[i] = rereadRow(row)
	}
	response.BackendServers.BackendServer = rows
	return nil
}

// rereadRow reads what it can of a row; what is no object has nothing to read.
func rereadRow(row any) sdkslb.BackendServer {
	fields, _ := row.(map[string]any)
	return sdkslb.BackendServer{
		ServerId:           textOf(fields["ServerId"]),
		ServerIp:           textOf(fields["ServerIp"]),
		EniHost:            textOf(fields["EniHost"]),
		Type:               textOf(fields["Type"]),
		Protocol:           textOf(fields["Protocol"]),
		ServerHealthStatus: textOf(fields["ServerHealthStatus"]),
		ListenerPort:       numberOf(fields["ListenerPort"]),
		Port:               numberOf(fields["Port"]),
	}
}

// textOf is what the SDK takes for text; "" for a list or an object.
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

// numberOf is a whole number, be it in quotes; 0 where there is none, and noPort for anything else.
func numberOf(value any) int {
	text := textOf(value)
	if value == nil || value == "" {
		return 0
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return noPort
	}
	return number
}
