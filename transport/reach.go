package transport

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// logReach logs if Shared lets other users connect and Peer accepts none of them, or the
// other way round. On Darwin Shared changes nothing.
func (s *settings) logReach(endpoint string) {
	switch rule := s.Peer.String(); {
	case runtime.GOOS == "darwin":
	case s.Shared && s.defaultPeer:
		s.log.Info("Shared is set, but the default Peer accepts no other user but root; set Peer", "endpoint", endpoint)
	case !s.Shared && namesOthers(rule):
		s.log.Info("Peer names other users, but without Shared only root and the host's user can connect; set Shared",
			"endpoint", endpoint, "peer", rule)
	}
}

var (
	quoted     = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	othersRule = regexp.MustCompile(`\b(Anyone\b|UIDs\(|Users\()`)
)

// namesOthers reports whether a rule, as [peer.Policy] writes it, has a part that users other
// than the process's can fulfil by who they are.
func namesOthers(rule string) bool {
	rule = strings.ReplaceAll(rule, fmt.Sprintf("UIDs(%d)", os.Geteuid()), "SameUser")
	return othersRule.MatchString(quoted.ReplaceAllString(rule, ""))
}
