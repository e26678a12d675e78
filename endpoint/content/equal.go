package content

import (
	"math/big"
	"reflect"
	"regexp"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// annotations are fields of a schema that accept and refuse nothing.
var annotations = []string{
	"Location", "ID", "Anchor", "DynamicAnchor", "RecursiveAnchor", "Title", "Description", "Default", "Comment", "ReadOnly",
	"WriteOnly", "Examples", "Deprecated",
}

func same(a, b *jsonSchema) bool {
	return equal(reflect.ValueOf(a), reflect.ValueOf(b), map[[2]*jsonSchema]bool{})
}

func sameList(a, b []*jsonSchema) bool {
	return equal(reflect.ValueOf(a), reflect.ValueOf(b), map[[2]*jsonSchema]bool{})
}

// equal reports whether two parts of schemas ask for the same. Pairs that are being compared count as equal.
func equal(a, b reflect.Value, open map[[2]*jsonSchema]bool) bool {
	if open == nil {
		open = map[[2]*jsonSchema]bool{}
	}
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Kind() == reflect.Interface {
		a, b = a.Elem(), b.Elem()
		return equal(a, b, open)
	}
	if a.Type() != b.Type() {
		return false
	}
	switch x := a.Interface().(type) {
	case *jsonSchema:
		y := b.Interface().(*jsonSchema)
		if x == nil || y == nil || x == y || open[[2]*jsonSchema{x, y}] {
			return x == y || x != nil && y != nil
		}
		open[[2]*jsonSchema{x, y}] = true
		for _, f := range reflect.VisibleFields(reflect.TypeFor[jsonSchema]()) {
			if f.IsExported() && !slices.Contains(annotations, f.Name) &&
				!equal(a.Elem().FieldByIndex(f.Index), b.Elem().FieldByIndex(f.Index), open) {
				return false
			}
		}
		return true
	case *big.Rat:
		y := b.Interface().(*big.Rat)
		return x == nil && y == nil || x != nil && y != nil && x.Cmp(y) == 0
	case *jsonschema.Format:
		y := b.Interface().(*jsonschema.Format)
		return x == nil && y == nil || x != nil && y != nil && x.Name == y.Name
	case map[jsonschema.Regexp]*jsonSchema:
		y := b.Interface().(map[jsonschema.Regexp]*jsonSchema)
		return equal(reflect.ValueOf(byText(x)), reflect.ValueOf(byText(y)), open)
	case *regexp.Regexp:
		y := b.Interface().(*regexp.Regexp)
		return x.String() == y.String()
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return equal(a.Elem(), b.Elem(), open)
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i), open) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			if v := b.MapIndex(k); !v.IsValid() || !equal(a.MapIndex(k), v, open) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !equal(a.Field(i), b.Field(i), open) {
				return false
			}
		}
		return true
	case reflect.Func:
		return a.IsNil() && b.IsNil()
	}
	return a.Interface() == b.Interface()
}

func byText(m map[jsonschema.Regexp]*jsonSchema) map[string]*jsonSchema {
	named := map[string]*jsonSchema{}
	for re, s := range m {
		named[re.String()] = s
	}
	return named
}
