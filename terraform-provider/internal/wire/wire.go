// Package wire turns Terraform values into JSON and back. The names are the same on both sides, so the type of the
// value is all that is needed.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Encode is a value as JSON. What is null in an object is left out of it.
func Encode(value tftypes.Value) (any, error) {
	if !value.IsKnown() {
		return nil, errors.New("a value is not known yet")
	}
	if value.IsNull() {
		return nil, nil
	}
	switch kind := value.Type(); {
	case kind.Is(tftypes.String):
		var text string
		err := value.As(&text)
		return text, err
	case kind.Is(tftypes.Bool):
		var truth bool
		err := value.As(&truth)
		return truth, err
	case kind.Is(tftypes.Number):
		var number big.Float
		err := value.As(&number)
		return json.Number(decimal(&number)), err
	case kind.Is(tftypes.List{}), kind.Is(tftypes.Set{}), kind.Is(tftypes.Tuple{}):
		return encodeList(value)
	case kind.Is(tftypes.Map{}), kind.Is(tftypes.Object{}):
		return encodeObject(value)
	default:
		return nil, fmt.Errorf("the type %s has no JSON", kind)
	}
}

func decimal(number *big.Float) string {
	if number.IsInt() {
		return number.Text('f', 0)
	}
	return number.Text('g', -1)
}

func encodeList(value tftypes.Value) (any, error) {
	var items []tftypes.Value
	if err := value.As(&items); err != nil {
		return nil, err
	}
	list := make([]any, len(items))
	for i, item := range items {
		var err error
		if list[i], err = Encode(item); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func encodeObject(value tftypes.Value) (any, error) {
	var fields map[string]tftypes.Value
	if err := value.As(&fields); err != nil {
		return nil, err
	}
	object := make(map[string]any, len(fields))
	for name, field := range fields {
		if field.IsNull() {
			continue
		}
		encoded, err := Encode(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		object[name] = encoded
	}
	return object, nil
}

// Decode reads JSON (with numbers as json.Number) as a value of this type. What the type does not know is passed
// over, what is absent becomes null.
func Decode(encoded any, kind tftypes.Type) (tftypes.Value, error) {
	if encoded == nil {
		return tftypes.NewValue(kind, nil), nil
	}
	switch kind := kind.(type) {
	case tftypes.List:
		return decodeList(encoded, kind, kind.ElementType)
	case tftypes.Set:
		return decodeList(encoded, kind, kind.ElementType)
	case tftypes.Map:
		return decodeMap(encoded, kind)
	case tftypes.Object:
		return decodeObject(encoded, kind)
	}
	return decodeScalar(encoded, kind)
}

func decodeScalar(encoded any, kind tftypes.Type) (tftypes.Value, error) {
	switch scalar := encoded.(type) {
	case string:
		if kind.Is(tftypes.String) {
			return tftypes.NewValue(kind, scalar), nil
		}
	case bool:
		if kind.Is(tftypes.Bool) {
			return tftypes.NewValue(kind, scalar), nil
		}
	case json.Number:
		if number, _, err := big.ParseFloat(scalar.String(), 10, 512, big.ToNearestEven); err == nil && kind.Is(tftypes.Number) {
			return tftypes.NewValue(kind, number), nil
		}
	}
	return tftypes.Value{}, fmt.Errorf("%v is not a %s", encoded, kind)
}

func decodeList(encoded any, kind, element tftypes.Type) (tftypes.Value, error) {
	list, ok := encoded.([]any)
	if !ok {
		return tftypes.Value{}, fmt.Errorf("%v is not a list", encoded)
	}
	items := make([]tftypes.Value, len(list))
	for i, item := range list {
		var err error
		if items[i], err = Decode(item, element); err != nil {
			return tftypes.Value{}, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return tftypes.NewValue(kind, items), nil
}

func decodeMap(encoded any, kind tftypes.Map) (tftypes.Value, error) {
	object, ok := encoded.(map[string]any)
	if !ok {
		return tftypes.Value{}, fmt.Errorf("%v is not an object", encoded)
	}
	fields := make(map[string]tftypes.Value, len(object))
	for key, field := range object {
		var err error
		if fields[key], err = Decode(field, kind.ElementType); err != nil {
			return tftypes.Value{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	return tftypes.NewValue(kind, fields), nil
}

func decodeObject(encoded any, kind tftypes.Object) (tftypes.Value, error) {
	object, ok := encoded.(map[string]any)
	if !ok {
		return tftypes.Value{}, fmt.Errorf("%v is not an object", encoded)
	}
	fields := make(map[string]tftypes.Value, len(kind.AttributeTypes))
	for name, of := range kind.AttributeTypes {
		var err error
		if fields[name], err = Decode(object[name], of); err != nil {
			return tftypes.Value{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return tftypes.NewValue(kind, fields), nil
}
