/*
 * The wake-up protocol of one direction of a ring (docs/PROTOCOL.md,
 * "Wake-ups"; internal/link/ring and internal/link/ring), for Spin.
 *
 * Who runs:
 *   producer   writes FRAMES frames of 1 or 2 units, those of 2 perhaps in two
 *              steps, and the end marker; sleeps for room
 *   drainer      another thread of the producer's process: sleeps until
 *              everything is drained (link.WaitDrained), DRAINS times
 *   consumer   reads until the end marker or the socket's end; sleeps for data
 *   watcher    one in each process: turns doorbells into tokens, and sees the
 *              socket end
 *   drain      one for each store buffer
 *
 * Memory is that of amd64 (total store order), and no stronger: each of
 * producer, drainer and consumer has a store buffer, from which its stores reach
 * memory at any later time, in order. A fence waits until the buffer is empty,
 * and so does an exchange. No thread loads a word that it stores, so that
 * loads need not look into the own buffer. Go's atomic stores have the fence
 * built in; where the protocol needs it not, the model has none either.
 *
 * Either process may die at many points, once; then its socket ends. Every
 * sleeper may wake up for no reason (a context that ends), SPARE times in all.
 *
 * What is verified, by a complete search: no process sleeps forever (invalid end
 * states); a consumer gets all that was published, and the end marker unless
 * the producer died (assertions); the ring never overflows.
 *
 * model_test.go drains a part out with each of these and expects an error:
 *   NO_FENCE_PUBLISH      after the producer stores tail
 *   NO_FENCE_SLEEP        after the consumer stores "consumer waits"
 *   NO_FENCE_RELEASE      after the consumer stores head
 *   NO_FENCE_ROOM         after the producer stores "producer waits"
 *   NO_FENCE_DRAINED        after the drainer stores it
 *   NO_RECHECK_SLEEP      the consumer's second look at tail
 *   NO_RECHECK_ROOM       the producer's second look at head
 *   NO_RECHECK_DRAINED      the drainer's
 *   NO_WAKE_CONSUMER      the producer's doorbell
 *   NO_WAKE_PRODUCER      the consumer's doorbell
 *   NO_TOKEN              the memory of a doorbell that found no sleeper
 *   TAKE_BACK             a producer that finds room drains its wish back, and
 *                         the drainer's with it
 *   WAKE_ONE              a doorbell wakes the producer, not the drainer too
 *   LATE_STATE            the consumer looks whether the socket has ended after
 *                         its look at the ring, not before
 */

#ifndef LEN
#define LEN 4     /* units in the ring; 1 of them is reserved for the end marker */
#endif
#ifndef FRAMES
#define FRAMES 3
#endif
#ifndef DRAINS
#define DRAINS 1
#endif
#ifndef SPARE
#define SPARE 1
#endif
#ifndef DEATHS
#define DEATHS 1  /* may processes die? */
#endif

/* The control words. */
#define TAIL  0
#define HEAD  1
#define CWAIT 2  /* consumer waits */
#define PWAIT 3  /* producer waits */
byte mem[4];

/* The threads with a store buffer. */
#define P 0
#define T 1
#define C 2
chan buffer[3] = [3] of { byte, byte };

/* A store without a fence goes to the buffer. One with a fence behind it, as
 * Go's are, is one step when the buffer is empty: in between, its thread does
 * nothing. So is an exchange. */
#define store(who, word, value)       buffer[who]!word, value
#define fenced_store(who, word, value) \
	atomic { empty(buffer[who]) -> mem[word] = value }

#ifdef NO_FENCE_PUBLISH
#define store_publish(value) store(P, TAIL, value)
#else
#define store_publish(value) fenced_store(P, TAIL, value)
#endif
#ifdef NO_FENCE_ROOM
#define store_room(value) store(P, PWAIT, value)
#else
#define store_room(value) fenced_store(P, PWAIT, value)
#endif
#ifdef NO_FENCE_DRAINED
#define store_drained(value) store(T, PWAIT, value)
#else
#define store_drained(value) fenced_store(T, PWAIT, value)
#endif
#ifdef NO_FENCE_RELEASE
#define store_release(value) store(C, HEAD, value)
#else
#define store_release(value) fenced_store(C, HEAD, value)
#endif
#ifdef NO_FENCE_SLEEP
#define store_sleep(value) store(C, CWAIT, value)
#else
#define store_sleep(value) fenced_store(C, CWAIT, value)
#endif

/* The sockets' receive queues: each holds one doorbell, more are dropped. */
chan bellP = [1] of { bit };
chan bellC = [1] of { bit };
#define ring(bell) \
	atomic { if :: nfull(bell) -> bell!1 :: full(bell) -> skip fi }

bit closedP, closedC;               /* the process has closed its socket */
bit goneP, goneC;                   /* the process knows that the other's is closed */
bit writable, drained, readable;      /* tokens */
byte spare = SPARE;
byte endAt = 255;                   /* the position behind the end marker */

/* sleep waits for a token, the socket's end, or the end of a context; over is
 * the end of the own process. */
#ifdef NO_TOKEN
bit asleepP, asleepT, asleepC;
#define poke(token, asleep) token = asleep
#define sleep(token, asleep, gone, over) \
	asleep = 1; \
	if \
	:: atomic { token -> token = 0 } \
	:: gone || over \
	:: atomic { spare > 0 -> spare-- } \
	fi; \
	asleep = 0
#else
#define poke(token, asleep) token = 1
#define sleep(token, asleep, gone, over) \
	if \
	:: atomic { token -> token = 0 } \
	:: gone || over \
	:: atomic { spare > 0 -> spare-- } \
	fi
#endif

proctype drain(byte who)
{
	byte word, value;
end:	do
	:: atomic { buffer[who]?word, value -> mem[word] = value; word = 0; value = 0 }
	od
}

proctype watcherP()
{
end:	do
	:: atomic {
		bellP?_ -> poke(writable, asleepP);
#ifndef WAKE_ONE
		poke(drained, asleepT)
#endif
	   }
	:: atomic { empty(bellP) && closedC -> goneP = 1; break }
	od
}

proctype watcherC()
{
end:	do
	:: atomic { bellC?_ -> poke(readable, asleepC) }
	:: atomic { empty(bellC) && closedP -> goneC = 1; break }
	od
}

/* must_wake is Producer.MustWake and the doorbell. */
#ifdef NO_WAKE_CONSUMER
#define must_wake skip
#else
#define must_wake \
	if \
	:: mem[CWAIT] == 0 \
	:: else -> \
		atomic { \
			empty(buffer[P]) -> \
			if \
			:: mem[CWAIT] == 0 \
			:: else -> mem[CWAIT] = 0; rings = 1 \
			fi \
		}; \
		if \
		:: atomic { rings -> rings = 0; ring(bellC) } \
		:: else \
		fi \
	fi
#endif

#define free (LEN - (pos - seen))

proctype producer()
{
	byte pos, seen, size, frames;
	bit rings;

	do
	:: frames == FRAMES -> break
	:: else ->
		/* A frame of 1 or 2 units, or death. */
		if :: size = 1 :: size = 2 :: atomic { DEATHS -> goto died } fi;
		do
		:: atomic { free >= size + 1 -> break }
		:: atomic { free < size + 1 && goneP -> goto gone }
		:: else ->
			atomic {
				seen = mem[HEAD];
				assert(seen <= pos && pos - seen <= LEN);
				if
				:: free >= size + 1 -> break
				:: else
				fi
			};
			/* Producer.Arm */
			store_room((size + 1 > LEN/2 -> size + 1 : LEN/2));
#ifndef NO_RECHECK_ROOM
			atomic {
				seen = mem[HEAD];
				if
				:: free >= size + 1 ->
#ifdef TAKE_BACK
					fenced_store(P, PWAIT, 0);
#endif
					break
				:: else
				fi
			};
#endif
			sleep(writable, asleepP, goneP, false)
		od;
		if
		:: size == 2 -> /* a step of a large frame: no wake-up for it */
			store(P, TAIL, pos + 1);
			if :: atomic { DEATHS -> goto died } :: skip fi
		:: true
		fi;
		atomic { pos = pos + size; size = 0; frames++ };
		store_publish(pos);
		if :: atomic { DEATHS -> goto died } :: skip fi;
		must_wake
	od;
	atomic { pos++; endAt = pos };
	store_publish(pos);
	must_wake;
	if
	:: goto done  /* stays, so that only doorbells can wake */
	:: atomic { DEATHS -> goto died }  /* its socket is closed after all it has written */
	fi;
	/* What a dead process has stored reaches memory before the kernel closes
	 * its socket. */
died:	atomic { empty(buffer[P]) -> closedP = 1; goto done };
gone:	closedP = 1;
done:	skip
}

proctype drainer()
{
	byte drains, tail;

	do
	:: atomic { drains == DRAINS || goneP || closedP -> break }
	:: else ->
		/* Producer.ArmDrained */
		store_drained(LEN);
#ifdef NO_RECHECK_DRAINED
		sleep(drained, asleepT, goneP, closedP);
#endif
		tail = mem[TAIL];
		if
		:: atomic { tail == mem[HEAD] -> drains++; tail = 0 }
		:: atomic { tail != mem[HEAD] -> tail = 0 }
#ifndef NO_RECHECK_DRAINED
			; sleep(drained, asleepT, goneP, closedP)
#endif
		fi
	od
}

proctype consumer()
{
	byte pos, released, need, tail;
	bit gone, rings;

	do
	:: true -> if :: atomic { DEATHS -> goto died } :: skip fi;
		/* Consumer.Release */
		if
		:: atomic { pos != released -> released = pos };
			store_release(pos)
		:: atomic { pos == released -> skip }
		fi;
#ifndef NO_WAKE_PRODUCER
		if
		:: mem[PWAIT] == 0
		:: atomic { mem[PWAIT] != 0 -> need = mem[PWAIT] };
			atomic {
				tail = mem[TAIL] - pos;
				rings = (tail == 0 || tail + need <= LEN);
				tail = 0;
				need = 0
			};
			if
			:: atomic { rings && empty(buffer[C]) ->
				rings = (mem[PWAIT] != 0);
				mem[PWAIT] = 0
			   };
				if
				:: atomic { rings -> rings = 0; ring(bellP) }
				:: !rings
				fi
			:: !rings
			fi
		fi;
#endif
		/* Consumer.Fill: all that is there, or a part; before it a look whether
		 * the socket has ended. */
#ifdef LATE_STATE
		if
		:: atomic { pos == endAt -> goto done }
		:: atomic { pos != endAt -> tail = mem[TAIL] }
		fi;
		gone = goneC;
#else
		if
		:: atomic { pos == endAt -> goto done }
		:: atomic { pos != endAt -> gone = goneC }
		fi;
		tail = mem[TAIL];
#endif
		if
		:: atomic { tail != pos ->
			assert(tail > pos && tail - pos <= LEN);
			if :: pos = tail :: pos++ fi;
			tail = 0;
			gone = 0
		   }
		:: atomic { tail == pos && gone ->
			assert(pos == mem[TAIL]);  /* nothing that was published is lost */
			assert(endAt == 255);      /* and no end marker */
			goto done
		   }
		:: atomic { tail == pos && !gone -> tail = 0 };
			/* Consumer.Arm */
			store_sleep(1);
#ifdef NO_RECHECK_SLEEP
			sleep(readable, asleepC, goneC, false);
#else
			if
			:: mem[TAIL] != pos
			:: mem[TAIL] == pos ->
				sleep(readable, asleepC, goneC, false)
			fi;
#endif
			store(C, CWAIT, 0)
		fi
	od;
died:	atomic { empty(buffer[C]) -> closedC = 1 };
done:	skip
}

init {
	atomic {
		run drain(P); run drain(T); run drain(C);
		run watcherP(); run watcherC();
		run producer(); run drainer(); run consumer()
	}
}
