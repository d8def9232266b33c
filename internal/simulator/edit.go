// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
)

// omitFields returns the document's body without the fields of these names, at every depth.
func omitFields(doc document, names []string) []byte {
	if doc.contentType != typeJSON {
		return omitElements(doc.body, names)
	}
	decoder := json.NewDecoder(bytes.NewReader(doc.body))
	decoder.UseNumber()
	var value any
	_ = decoder.Decode(&value) // the simulator's own document
	return encode(doc.status, true, withoutKeys(value, names)).body
}

func withoutKeys(value any, names []string) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = withoutKeys(value[i], names)
		}
	case map[string]any:
		for _, name := range names {
			delete(value, name)
		}
		for key := range value {
			value[key] = withoutKeys(value[key], names)
		}
	}
	return value
}

// omitElements is omitFields for XML.
func omitElements(body []byte, names []string) []byte {
	var out bytes.Buffer
	decoder, encoder := xml.NewDecoder(bytes.NewReader(body)), xml.NewEncoder(&out)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			_ = encoder.Flush()
			return out.Bytes()
		}
		if element, ok := token.(xml.StartElement); ok && slices.Contains(names, element.Name.Local) {
			_ = decoder.Skip()
			continue
		}
		_ = encoder.EncodeToken(token)
	}
}

// success is what answers of NLB have beside their content, unless the field is absent.
type success struct {
	Success        bool   `json:"Success" xml:"Success"`
	Code           string `json:"Code" xml:"Code"`
	Message        string `json:"Message" xml:"Message"`
	HTTPStatusCode int    `json:"HttpStatusCode" xml:"HttpStatusCode"`
}

// withSuccess returns the document's body with the fields of success in front of the others; an error document stays
// as it is.
func withSuccess(doc document, fault *Fault) []byte {
	if doc.status != http.StatusOK {
		return doc.body
	}
	code := cmp.Or(fault.Code, "OK")
	reference := encode(doc.status, doc.contentType == typeJSON, success{true, code, cmp.Or(fault.Message, code), doc.status}).body
	if doc.contentType == typeJSON {
		return slices.Concat(reference[:len(reference)-1], []byte(","), doc.body[1:])
	}
	fields := bytes.TrimSuffix(bytes.TrimPrefix(reference, []byte(xmlHeader+"<success>")), []byte("</success>"))
	return bytes.Replace(doc.body, []byte("<RequestId>"), append(fields, "<RequestId>"...), 1)
}
