package piiprocessor

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// pdata keeps a string in a struct of its own, and SetStr makes a new one for every string: the only allocation that
// masking an attribute costs. setStr writes into the one that is there. Nothing else can point to it, because pdata
// copies and moves values and shares none.

// cell and holder mirror what a pcommon.Value of a string points to. mirrored says whether they still do.
type (
	value struct {
		cell  *cell
		state unsafe.Pointer
	}
	cell struct{ holder any }
)

// holderType is the pointer to a struct of one string that a cell has for a string. It is nil where pdata is not built
// as setStr expects, which then leaves the work to pdata.
var holderType = stringHolder(pcommon.NewValueStr("x"))

// setStr is v.SetStr(s).
func setStr(v pcommon.Value, s string) {
	if holderType != nil && v.Type() == pcommon.ValueTypeStr {
		// To move a value to itself does nothing but panic where it is read-only.
		v.MoveTo(v)
		if holder := (*value)(unsafe.Pointer(&v)).cell.holder; reflect.TypeOf(holder) == holderType {
			*(*string)(reflect.ValueOf(holder).UnsafePointer()) = s
			return
		}
	}
	v.SetStr(s)
}

// stringHolder returns the type of what holds the string of v, or nil where something there is not as value and cell
// say: a field more could be one that must change with the string.
func stringHolder(v any) reflect.Type {
	outer := reflect.ValueOf(v)
	if outer.Kind() != reflect.Struct || outer.NumField() != 2 || outer.Field(0).Kind() != reflect.Pointer ||
		outer.Field(1).Kind() != reflect.Pointer {
		return nil
	}
	inner := outer.Field(0).Elem()
	if inner.Kind() != reflect.Struct || inner.NumField() != 1 || inner.Field(0).Type() != reflect.TypeFor[any]() {
		return nil
	}
	holder := inner.Field(0).Elem()
	if holder.Kind() != reflect.Pointer || holder.Elem().Kind() != reflect.Struct || holder.Elem().NumField() != 1 ||
		holder.Elem().Field(0).Kind() != reflect.String {
		return nil
	}
	return holder.Type()
}
