package main

import (
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"sallyport/cmd/sallyport/config"
)

// settings are the flags of commands that read the server's configuration.
type settings struct {
	file  string
	given map[string]string // by key: the flags that were given
}

// register gives a command --config and one flag for each setting.
func (s *settings) register(flags *pflag.FlagSet) {
	s.given = map[string]string{}
	flags.StringVar(&s.file, "config", "", "YAML file with settings")
	for _, setting := range config.Settings() {
		if setting.Flag == "" {
			continue
		}
		flag := flags.VarPF(&settingFlag{settings: s, setting: setting}, setting.Flag, "", firstSentence(setting.Help))
		flag.DefValue = setting.Default
		if setting.Kind == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// firstSentence shortens a comment to a flag's line of help. An abbreviation's
// dot ends none: a capital must follow.
func firstSentence(s string) string {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '.' && s[i+1] == ' ' && unicode.IsUpper(rune(s[i+2])) {
			return s[:i]
		}
	}
	return strings.TrimSuffix(s, ".")
}

// load puts flags, environment and file together.
func (a *app) load(s *settings) (config.Config, error) {
	return config.Load(config.Sources{File: s.file, Environ: a.environ, Flags: s.given})
}

// settingFlag notes what one flag was given; config parses it.
type settingFlag struct {
	settings *settings
	setting  config.Setting
}

func (f *settingFlag) String() string { return f.settings.given[f.setting.Key] }

func (f *settingFlag) Type() string { return f.setting.Kind }

func (f *settingFlag) Set(value string) error {
	f.settings.given[f.setting.Key] = value
	return nil
}
