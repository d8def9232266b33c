// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answerOfFields is an answer of about so many bytes, whose fields are of one length.
func answerOfFields(size, length int) []byte {
	field := strings.Repeat("server-1.", length/9+1)[:length]
	row := fmt.Sprintf(`{"ServerId":%q,"ServerIp":%[1]q,"EniHost":%[1]q,"Type":%[1]q,"Protocol":%[1]q,"ServerHealthStatus":%[1]q}`, field)
	return []byte(rows(strings.Split(strings.Repeat(row+"\n", size/len(row)), "\n")[:size/len(row)]...))
}

// costOf is the processor time that an answer takes to be read or refused; the least of three.
func costOf(t *testing.T, body []byte) (least time.Duration, err error) {
	t.Helper()
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		return response(request, http.StatusOK, body), nil
	})
	request := aRequest()
	request.Credentials.SecurityToken = strings.Repeat("CAISvQJ1q6Ft5B2yfSjIr5f", 40) // as long as real ones
	for i := range 3 {
		took := working(t, func() { _, err = client.DescribeHealthStatus(t.Context(), request) })
		if i == 0 || took < least {
			least = took
		}
	}
	return least, err
}

// Fields that are longer than any of the API's are searched for pieces of the
// keys: that must not make them dear, for a server may send nothing else.
func TestLongFieldsCostLittleMoreThanShortOnes(t *testing.T) {
	const size = 1 << 20
	short, err := costOf(t, answerOfFields(size, 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{maxWord + 1, maxField, maxRaw} {
		if took, err := costOf(t, answerOfFields(size, length)); err != nil || took > 5*short {
			t.Errorf("fields of %d bytes take %s, of 20 bytes %s; error %v", length, took, short, err)
		}
	}
	for _, length := range []int{maxRaw + 1, 128 << 10} {
		took, err := costOf(t, answerOfFields(size, length))
		if err == nil || !strings.Contains(err.Error(), "a backend with a field of more than 4 KiB") || took > 2*short {
			t.Errorf("fields of %d bytes take %s, of 20 bytes %s; error %v", length, took, short, err)
		}
	}
}

func TestAListenersFieldsAreBoundedToo(t *testing.T) {
	long := strings.Repeat("x", maxRaw+1)
	for document, says := range map[string]string{
		page("", listener(testLoadBalancer, 80, long)):                                              "a listener with a field of more than 4 KiB",
		page("", `{"LoadBalancerId":"`+testLoadBalancer+`","ListenerPort":80,"Status":"`+long+`"}`): "a listener with a field of more than 4 KiB",
		page(long): "a NextToken of more than 4 KiB",
	} {
		client, calls := pages(t, document)
		if failed := listInVain(t, client, aListenersRequest()); failed.Kind != InvalidResponse || !strings.Contains(failed.Message, says) || len(*calls) != 1 {
			t.Errorf("%d calls, got %v, want %s", len(*calls), failed, says)
		}
	}
}
