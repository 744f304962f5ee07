package wire

import (
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Path is the attribute that a JSON pointer (RFC 6901) into the body of a request means, as deep as there is one: a
// pointer to a field that Terraform does not know ends at what contains it.
func Path(pointer string, kind tftypes.Type) path.Path {
	at := path.Empty()
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch outer := kind.(type) {
		case tftypes.Object:
			inner, ok := outer.AttributeTypes[token]
			if !ok {
				return at
			}
			at, kind = at.AtName(token), inner
		case tftypes.Map:
			at, kind = at.AtMapKey(token), outer.ElementType
		case tftypes.List:
			index, err := strconv.Atoi(token)
			if err != nil {
				return at
			}
			at, kind = at.AtListIndex(index), outer.ElementType
		default:
			return at
		}
	}
	return at
}
