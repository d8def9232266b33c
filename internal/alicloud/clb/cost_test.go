// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// responseOfFields is a response of about size bytes, whose fields have one length.
func responseOfFields(size, length int) []byte {
	field := strings.Repeat("server-1.", length/9+1)[:length]
	row := fmt.Sprintf(`{"ServerId":%q,"ServerIp":%[1]q,"EniHost":%[1]q,"Type":%[1]q,"Protocol":%[1]q,"ServerHealthStatus":%[1]q}`, field)
	return []byte(rows(strings.Split(strings.Repeat(row+"\n", size/len(row)), "\n")[:size/len(row)]...))
}

// costOf is the processor time of reading or refusing a response; the least of three.
func costOf(t *testing.T, body []byte) (least time.Duration, err error) {
	t.Helper()
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		return alicloudtest.Response(request, http.StatusOK, string(body)), nil
	})
	request := aRequest()
	request.Credentials.SecurityToken = strings.Repeat("CAISvQJ1q6Ft5B2yfSjIr5f", 40) // as long as real ones
	for i := range 3 {
		duration := alicloudtest.ProcessorTime(t, func() { _, err = client.DescribeHealthStatus(t.Context(), request) })
		if i == 0 || duration < least {
			least = duration
		}
	}
	return least, err
}

// Fields that are longer than any of the API's are searched for parts of the
// keys: that must stay cheap, because a server may send only such fields.
func TestLongFieldsCostLittleMoreThanShortOnes(t *testing.T) {
	const (
		size      = 1 << 20
		longField = 46 // bytes: the shortest field that is searched for parts of the keys
	)
	short, err := costOf(t, responseOfFields(size, 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{longField, maxField, alicloud.MaxText} {
		if duration, err := costOf(t, responseOfFields(size, length)); err != nil || duration > 5*short {
			t.Errorf("fields of %d bytes take %s, of 20 bytes %s; error %v", length, duration, short, err)
		}
	}
	for _, length := range []int{alicloud.MaxText + 1, 128 << 10} {
		duration, err := costOf(t, responseOfFields(size, length))
		if err == nil || !strings.Contains(err.Error(), "a backend with a field of more than 4 KiB") || duration > 2*short {
			t.Errorf("fields of %d bytes take %s, of 20 bytes %s; error %v", length, duration, short, err)
		}
	}
}

func TestListenerFieldsAreBounded(t *testing.T) {
	long := strings.Repeat("x", alicloud.MaxText+1)
	for document, says := range map[string]string{
		page("", listener(alicloudtest.LoadBalancer, 80, long)):                                              "a listener with a field of more than 4 KiB",
		page("", `{"LoadBalancerId":"`+alicloudtest.LoadBalancer+`","ListenerPort":80,"Status":"`+long+`"}`): "a listener with a field of more than 4 KiB",
		page(long): "a NextToken of more than 4 KiB",
	} {
		client, calls := pages(t, document)
		if failed := listAndFail(t, client, aListenersRequest()); failed.Kind != alicloud.InvalidResponse || !strings.Contains(failed.Message, says) || len(*calls) != 1 {
			t.Errorf("%d calls, got %v, want %s", len(*calls), failed, says)
		}
	}
}
