package admin

import (
	"net/http"
	"reflect"
)

// answer is work that reads nothing and returns something.
func answer[O any](f func(r request) (O, error)) work {
	return work{out: reflect.TypeFor[O](), status: http.StatusOK, serve: func(r request, _ func(any) error) (any, error) {
		return f(r)
	}}
}

// madeOf is answer for work that makes what it returns.
func madeOf[O any](f func(r request) (O, error)) work {
	w := answer(f)
	w.status = http.StatusCreated
	return w
}

// exchange is work that reads something and returns something.
func exchange[I, O any](f func(r request, in I) (O, error)) work {
	return work{in: reflect.TypeFor[I](), out: reflect.TypeFor[O](), status: http.StatusOK, serve: func(r request, body func(any) error) (any, error) {
		var in I
		if err := body(&in); err != nil {
			return nil, err
		}
		return f(r, in)
	}}
}

// created is exchange for work that makes what it returns.
func created[I, O any](f func(r request, in I) (O, error)) work {
	w := exchange(f)
	w.status = http.StatusCreated
	return w
}

// told is work that reads something and returns nothing.
func told[I any](f func(r request, in I) error) work {
	w := exchange(func(r request, in I) (any, error) { return nil, f(r, in) })
	w.out, w.status = nil, http.StatusNoContent
	return w
}

// done is work that reads and returns nothing.
func done(f func(r request) error) work {
	return work{status: http.StatusNoContent, serve: func(r request, _ func(any) error) (any, error) {
		return nil, f(r)
	}}
}
