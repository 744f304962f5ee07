package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func TestDowngradeSaysTheSameInTheOldWay(t *testing.T) {
	cases := map[string][2]string{
		"a type that may be null": {
			`{"type":["string","null"],"maxLength":3}`,
			`{"type":"string","nullable":true,"maxLength":3}`,
		},
		"a reference that may be null": {
			`{"oneOf":[{"$ref":"#/components/schemas/Name","description":"x"},{"type":"null"}]}`,
			`{"$ref":"#/components/schemas/Name"}`,
		},
		"a property that is called like a keyword": {
			`{"properties":{"type":{"type":"string"},"default":{"type":"boolean"},"example":{"type":"integer"}}}`,
			`{"properties":{"type":{"type":"string"},"default":{"type":"boolean"},"example":{"type":"integer"}}}`,
		},
		"keywords that 3.0 does not have": {
			`{"type":"object","propertyNames":{"type":"string"},"examples":[1],"additionalProperties":{"type":"string"}}`,
			`{"type":"object","additionalProperties":{"type":"string"}}`,
		},
		"a constant": {`{"const":"a"}`, `{"enum":["a"]}`},
		"parameters that the caller adds": {
			`{"parameters":[{"name":"a","in":"path","required":true},{"name":"b","in":"query","required":true}]}`,
			`{"parameters":[{"name":"a","in":"path","required":true}]}`,
		},
		"a default answer": {
			`{"responses":{"default":{"description":"x"}}}`,
			`{"responses":{"default":{"description":"x"}}}`,
		},
	}
	for name, pair := range cases {
		t.Run(name, func(t *testing.T) {
			var given, want any
			if err := errors.Join(json.Unmarshal([]byte(pair[0]), &given), json.Unmarshal([]byte(pair[1]), &want)); err != nil {
				t.Fatal(err)
			}
			if got := downgrade(given); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
