package clamd

import "strings"

// EICAR returns EICAR's anti-malware test file, 68 bytes, which every engine reports and
// which does nothing. It is put together here so that no file of this tree, and no program
// made of it, is one. See https://www.eicar.org/download-anti-malware-testfile.
func EICAR() []byte {
	return []byte(strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$`, `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`}, "EICAR-"))
}
