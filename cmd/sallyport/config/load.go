package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// clientEnv are variables with our prefix that are not settings of the server:
// the client commands read them. SALLYPORT_TEST_… belongs to the tests.
var clientEnv = []string{"ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "TOKEN"}

// Sources is where settings come from, weakest first; defaults are weaker still.
type Sources struct {
	File    string            // path of a YAML file; "" for none
	Environ []string          // NAME=value, as os.Environ gives it
	Flags   map[string]string // by key, only those that were given
}

// layer is one source, read: values and the names they have there, by key.
type layer struct {
	values map[string]any
	names  map[string]string
}

// Load puts the sources together. An unknown key and a bad value are errors that
// name it as the operator wrote it; all of them are reported, not the first.
func Load(src Sources) (Config, error) {
	settings := Settings()
	known := make(map[string]Setting, len(settings))
	for _, s := range settings {
		known[s.Key] = s
	}
	fromFile, err := readFile(src.File, known)
	if err != nil {
		return Config{}, err
	}
	fromEnv, err := readEnviron(src.Environ, known)
	if err != nil {
		return Config{}, err
	}

	merged, names := koanf.New("."), map[string]string{}
	for _, l := range []layer{fromFile, fromEnv, flagLayer(src.Flags, known)} {
		if err := merged.Load(l, nil); err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
		maps.Copy(names, l.names)
	}

	c := Default()
	var problems []error
	for key := range merged.All() {
		if err := assign(&c, known[key], merged.Get(key)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", names[key], err))
		}
	}
	if len(problems) == 0 {
		problems = c.validate(func(key string) string {
			if name := names[key]; name != "" {
				return name
			}
			return key
		})
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return c, errors.Join(problems...)
}

// ReadBytes makes a layer a koanf.Provider; there are no bytes to parse.
func (layer) ReadBytes() ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// Read returns the values nested by section, as koanf wants them.
func (l layer) Read() (map[string]any, error) {
	nested := map[string]any{}
	for key, value := range l.values {
		section, field, ok := strings.Cut(key, ".")
		if !ok {
			nested[key] = value
			continue
		}
		within, _ := nested[section].(map[string]any)
		if within == nil {
			within = map[string]any{}
			nested[section] = within
		}
		within[field] = value
	}
	return nested, nil
}

// readFile flattens the YAML file. Keys that are no setting are errors.
func readFile(path string, known map[string]Setting) (layer, error) {
	l := layer{values: map[string]any{}, names: map[string]string{}}
	if path == "" {
		return l, nil
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return l, fmt.Errorf("configuration file %s: %w", path, err)
	}
	var problems []error
	for _, key := range k.Keys() {
		name := filepath.Base(path) + ": " + key
		if _, ok := known[key]; !ok {
			if m, isMap := k.Get(key).(map[string]any); isMap && len(m) == 0 && isSection(key, known) {
				continue // "s3: {}" says nothing, rightly
			}
			problems = append(problems, fmt.Errorf("%s: unknown key", name))
			continue
		}
		l.values[key], l.names[key] = k.Get(key), name
	}
	return l, errors.Join(problems...)
}

func isSection(key string, known map[string]Setting) bool {
	for k := range known {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// readEnviron takes our variables. One with our prefix that is no setting is an
// error: it is a misspelt one, and running on without it may be dangerous.
func readEnviron(environ []string, known map[string]Setting) (layer, error) {
	l := layer{values: map[string]any{}, names: map[string]string{}}
	keys := make(map[string]string, len(known))
	for _, s := range known {
		keys[s.Env] = s.Key
	}
	var problems []error
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(clientEnv, rest) || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		key, ok := keys[name]
		if !ok {
			problems = append(problems, fmt.Errorf("%s: unknown environment variable", name))
			continue
		}
		l.values[key], l.names[key] = value, name
	}
	return l, errors.Join(problems...)
}

func flagLayer(flags map[string]string, known map[string]Setting) layer {
	l := layer{values: map[string]any{}, names: map[string]string{}}
	for key, value := range flags {
		l.values[key], l.names[key] = value, "--"+known[key].Flag
	}
	return l
}

// assign sets one setting. Environment and flags give strings; YAML gives what
// it takes a scalar for, which for text is an error rather than a guess: an
// unquoted secret 12345678e9 is a number to YAML and would come out changed.
func assign(c *Config, s Setting, value any) error {
	field := reflect.ValueOf(c).Elem().Field(s.index)
	switch x := value.(type) {
	case string:
		return parse(field, x)
	case []any:
		if s.Kind != "list" {
			return errors.New("takes one value, not a list")
		}
		list := make([]string, 0, len(x))
		for _, element := range x {
			word, ok := element.(string)
			if !ok {
				return fmt.Errorf("%v is not text: put it in quotes", element)
			}
			list = append(list, word)
		}
		field.Set(reflect.ValueOf(list))
		return nil
	case nil:
		return errors.New("has no value")
	case bool:
		if s.Kind == "bool" {
			return parse(field, fmt.Sprint(x))
		}
	case int, int64, uint64:
		if s.Kind == "number" || s.Kind == "size" {
			return parse(field, fmt.Sprint(x))
		}
	}
	if s.Kind == "string" || s.Kind == "secret" || s.Kind == "list" || s.Kind == "level" {
		return errors.New("is not text: put it in quotes")
	}
	return fmt.Errorf("%v is not a %s", value, s.Kind)
}
