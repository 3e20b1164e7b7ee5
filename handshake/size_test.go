package handshake_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
)

// TestMessageSizes compares every message with the table in docs/HANDSHAKE.md,
// and checks that none can outgrow a frame.
func TestMessageSizes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "HANDSHAKE.md"))
	require.NoError(t, err)
	documented := map[string]int{} // "XX hybrid 1" to the size
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]{2} [a-zA-Z ]+) \| (\d) \|.*\| (\d+) \|$`).FindAllStringSubmatch(string(text), -1) {
		size, err := strconv.Atoi(row[3])
		require.NoError(t, err)
		documented[row[1]+" "+row[2]] = size
	}
	require.Len(t, documented, 19)

	used := map[string]bool{}
	for _, v := range variants {
		name := strings.ReplaceAll(strings.ReplaceAll(v.name, "_", " "), "psk", "PSK")
		if _, ok := documented[name+" 1"]; !ok { // a PSK changes no size
			name = strings.TrimSuffix(name, " PSK")
		}
		for _, payload := range []int{0, handshake.MaxPayload} {
			client, host := v.states(t)
			for i := range v.messages() {
				from, to := client, host
				if i%2 == 1 {
					from, to = host, client
				}
				n := payload
				if v.pattern == handshake.XX && i == 0 {
					n = 0
				}
				m, err := from.WriteMessage(nil, make([]byte, n))
				require.NoError(t, err)
				key := name + " " + strconv.Itoa(i+1)
				require.Contains(t, documented, key)
				require.Len(t, m, documented[key]+n, key)
				require.LessOrEqual(t, len(m), handshake.MaxMessageSize)
				_, err = to.ReadMessage(m)
				require.NoError(t, err)
				used[key] = true
			}
		}
	}
	require.Len(t, used, len(documented), "every row is about something")
}
