package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

var port = tftypes.Object{AttributeTypes: map[string]tftypes.Type{"name": tftypes.String, "port": tftypes.Number}}

var service = tftypes.Object{AttributeTypes: map[string]tftypes.Type{
	"name": tftypes.String, "labels": tftypes.Map{ElementType: tftypes.String},
	"ports": tftypes.List{ElementType: port}, "protected": tftypes.Bool, "ratio": tftypes.Number,
	"hostnames": tftypes.List{ElementType: tftypes.String},
	"defaults":  tftypes.Object{AttributeTypes: map[string]tftypes.Type{"timeout": tftypes.String}},
}}

func parse(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestWhatWasSentComesBackAsItWas(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"name":"a","labels":{},"ports":[],"defaults":{}}`,
		`{"name":"a\"${b}","labels":{"x/y":"é"},"hostnames":["b","a"],"protected":false}`,
		`{"ports":[{"name":"http","port":8080},{"port":0}],"ratio":0.1,"defaults":{"timeout":"1000ms"}}`,
		`{"ratio":9007199254740993}`,
	} {
		sent := parse(t, text)
		value, err := Decode(sent, service)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := Encode(value)
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("%s came back as %v (%v)", text, got, err)
		}
	}
}

func TestWhatTheServerAddsIsNoPartOfTheValue(t *testing.T) {
	value, err := Decode(parse(t, `{"name":"a","meta":{"uid":"svc_1"},"hostnames":null}`), service)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Encode(value)
	if want := map[string]any{"name": "a"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

func TestAnotherShapeIsAnErrorThatNamesThePlace(t *testing.T) {
	for text, place := range map[string]string{
		`{"ports":[{"port":"x"}]}`: "ports: [0]: port",
		`{"labels":["a"]}`:         "labels",
		`{"protected":1}`:          "protected",
		`[]`:                       "is not an object",
	} {
		if _, err := Decode(parse(t, text), service); err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPointersBecomeAttributes(t *testing.T) {
	for pointer, want := range map[string]path.Path{
		"":                  path.Empty(),
		"/ports/1/port":     path.Root("ports").AtListIndex(1).AtName("port"),
		"/labels/a~1b~0c":   path.Root("labels").AtMapKey("a/b~c"),
		"/defaults/timeout": path.Root("defaults").AtName("timeout"),
		"/defaults/unknown": path.Root("defaults"),
		"/ports/x":          path.Root("ports"),
		"/unknown/1":        path.Empty(),
	} {
		if got := Path(pointer, service); !got.Equal(want) {
			t.Errorf("%q is %s, want %s", pointer, got, want)
		}
	}
}
