package main

// Downgrade says in OpenAPI 3.0 what a document says in 3.1: the few differences that ours has.
func Downgrade(document map[string]any) map[string]any {
	older, _ := downgrade(document).(map[string]any)
	older["openapi"] = "3.0.3"
	delete(older, "jsonSchemaDialect")
	delete(older, "webhooks")
	return older
}

func downgrade(node any) any {
	switch node := node.(type) {
	case []any:
		list := make([]any, len(node))
		for i, item := range node {
			list[i] = downgrade(item)
		}
		return list
	case map[string]any:
		return downgradeObject(node)
	default:
		return node
	}
}

func downgradeObject(node map[string]any) any {
	// Before 3.1, nothing may stand beside a reference.
	if reference, ok := node["$ref"].(string); ok {
		return map[string]any{"$ref": reference}
	}
	for _, union := range []string{"oneOf", "anyOf"} {
		if one, ok := onlyAlternative(node[union]); ok {
			return downgrade(one)
		}
	}
	object := make(map[string]any, len(node))
	for key, value := range node {
		switch key {
		case "properties", "patternProperties", "responses", "schemas", "paths", "headers", "content", "securitySchemes":
			object[key] = downgradeNamed(value)
		case "example", "examples", "default", "propertyNames", "contentMediaType", "contentEncoding", "$schema", "$comment", "unevaluatedProperties":
		case "parameters":
			object[key] = inPath(downgrade(value))
		case "const":
			object["enum"] = []any{value}
		case "exclusiveMinimum", "exclusiveMaximum":
			if _, old := value.(bool); old {
				object[key] = value
			}
		case "type":
			if name, ok := value.([]any); ok {
				if only := withoutNull(name); only != nil {
					object["type"] = only
				}
				object["nullable"] = true
			} else if value != "null" {
				object[key] = downgrade(value)
			}
		default:
			object[key] = downgrade(value)
		}
	}
	return object
}

// downgradeNamed keeps every key: these are names of the document's, whatever they mean elsewhere.
func downgradeNamed(named any) any {
	old, ok := named.(map[string]any)
	if !ok {
		return downgrade(named)
	}
	object := make(map[string]any, len(old))
	for name, value := range old {
		object[name] = downgrade(value)
	}
	return object
}

// inPath leaves out parameters of the query and of headers. One more is no change, or a small one, for those who call
// the API, but it would change the signature of the generated function: callers add them to the request instead.
func inPath(parameters any) any {
	list, ok := parameters.([]any)
	if !ok {
		return parameters
	}
	kept := []any{}
	for _, parameter := range list {
		object, _ := parameter.(map[string]any)
		if place, said := object["in"]; !said || place == "path" {
			kept = append(kept, parameter)
		}
	}
	return kept
}

// onlyAlternative finds the one alternative beside null.
func onlyAlternative(union any) (any, bool) {
	list, _ := union.([]any)
	var others []any
	for _, item := range list {
		if object, ok := item.(map[string]any); ok && object["type"] == "null" {
			continue
		}
		others = append(others, item)
	}
	if len(others) != 1 {
		return nil, false
	}
	return others[0], true
}

// withoutNull is the one type beside null; several types together cannot be said in 3.0.
func withoutNull(types []any) any {
	var only any
	for _, name := range types {
		switch {
		case name == "null":
		case only == nil:
			only = name
		default:
			return nil
		}
	}
	return only
}
