package queue

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"aliasmx/internal/mail"
)

func TestSplitRcpts(t *testing.T) {
	env := &mail.Envelope{}
	for _, d := range []mail.Dest{"smtp:a", "smtp:b", "smtp:a", "smtp:a", "smtp:c", "smtp:a", "smtp:b"} {
		env.Rcpts = append(env.Rcpts, mail.Recipient{Dest: d})
	}
	tests := []struct {
		name  string
		open  []int
		limit int
		want  [][]int
	}{
		{"none", nil, 2, nil},
		{"one", []int{4}, 2, [][]int{{4}}},
		{"by destination", []int{0, 1, 2, 3, 4, 5, 6}, 50, [][]int{{0, 2, 3, 5}, {1, 6}, {4}}},
		{"limit", []int{0, 1, 2, 3, 4, 5, 6}, 2, [][]int{{0, 2}, {3, 5}, {1, 6}, {4}}},
		{"limit one", []int{0, 2, 3}, 1, [][]int{{0}, {2}, {3}}},
		{"default limit", []int{0, 2, 3}, 0, [][]int{{0, 2, 3}}},
		{"unfinished only", []int{3, 6}, 50, [][]int{{3}, {6}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := SplitRcpts(env, tt.open, RecipientLimits{Default: tt.limit}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The recipients of one next hop are put in Postfix's order before they are divided;
// in a job, their indexes ascend all the same.
func TestSplitRcptsByDomain(t *testing.T) {
	env := &mail.Envelope{}
	for _, a := range []string{"z@b.example", "y@a.example", "x@B.example", "w@A.example"} {
		env.Rcpts = append(env.Rcpts, mail.Recipient{Final: mail.SplitAddress(a), Dest: "smtp:[192.0.2.1]"})
	}
	want := [][]int{{1, 3}, {0, 2}}
	if got := SplitRcpts(env, []int{0, 1, 2, 3}, RecipientLimits{Default: 2}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := deliveryOrder(env, []int{0, 1, 2, 3}); !slices.Equal(got, []int{3, 1, 2, 0}) {
		t.Errorf("named to the next hop in the order %v", got)
	}
}

func TestDeliveryOrder(t *testing.T) {
	sorted := []mail.Recipient{
		{Dest: "lmtp:z", Final: mail.SplitAddress("a@z.example")},
		{Dest: "smtp:a", Final: mail.SplitAddress("x@z.example")},
		{Dest: "smtp:b", Final: mail.SplitAddress("Z@a.example")},
		{Dest: "smtp:b", Final: mail.SplitAddress("a@A.example")},
		{Dest: "smtp:b", Final: mail.SplitAddress("b@a.example")},
		{Dest: "smtp:b", Final: mail.SplitAddress("bad2@b.example")}, // 2 comes before @ (recorded: deliver-550-two)
		{Dest: "smtp:b", Final: mail.SplitAddress("bad@b.example")},
		{Dest: "smtp:b", Final: mail.SplitAddress("bada@b.example")},
		{Dest: "smtp:b", Final: mail.SplitAddress("a")},
		{Dest: "smtp:b", Final: mail.SplitAddress("b")},
		{Dest: "smtp-b:a", Final: mail.SplitAddress("a@a.example")},
	}
	want := make([]int, len(sorted))
	for i := range want {
		want[i] = i
	}
	for seed := range uint64(20) {
		order := rand.New(rand.NewPCG(seed, 0)).Perm(len(sorted))
		if got := deliveryOrder(&mail.Envelope{Rcpts: sorted}, order); !slices.Equal(got, want) {
			t.Errorf("seed %d: got %v, want %v", seed, got, want)
		}
	}
}

// A transport may have a limit of its own.
func TestSplitRcptsByTransport(t *testing.T) {
	env := &mail.Envelope{}
	for _, dest := range []mail.Dest{"lmtp:x", "lmtp:x", "smtp:x", "smtp:x", "smtp:x", "slow:x", "slow:x"} {
		env.Rcpts = append(env.Rcpts, mail.Recipient{Dest: dest})
	}
	got := SplitRcpts(env, []int{0, 1, 2, 3, 4, 5, 6}, RecipientLimits{Default: 2, Of: map[string]int{"lmtp": 1, "smtp": 9, "slow": 0}})
	want := [][]int{{0}, {1}, {5, 6}, {2, 3, 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
