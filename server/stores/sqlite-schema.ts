/** Which tables these are; a file with a higher number is of a newer version. */
export const SCHEMA_VERSION = 1

/** `tabw`: marks the file as ours. */
export const APPLICATION_ID = 0x74616277

/** Sums are kept by triggers, so that nothing that comes or goes can pass them by. */
export const SCHEMA = `
CREATE TABLE service (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  epoch TEXT NOT NULL,
  head INTEGER NOT NULL DEFAULT 0,
  -- The floor of all topics that are not there any more, and so of all that never were.
  forgotten INTEGER NOT NULL DEFAULT 0,
  topics INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  waiting INTEGER NOT NULL DEFAULT 0,
  waitingBytes INTEGER NOT NULL DEFAULT 0
);

-- AUTOINCREMENT: a number is never used again, also when all events are gone.
CREATE TABLE event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  service INTEGER NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  -- How many topics hold it.
  holders INTEGER NOT NULL,
  -- The message that it brings.
  message TEXT,
  -- Nobody is to get it any more.
  isRetracted INTEGER NOT NULL DEFAULT 0,
  draft TEXT NOT NULL
);
CREATE INDEX eventOfService ON event (service, seq);
CREATE INDEX eventOfMessage ON event (service, message) WHERE message IS NOT NULL;
CREATE TRIGGER eventCame AFTER INSERT ON event BEGIN
  UPDATE service SET head = NEW.seq, bytes = bytes + NEW.bytes WHERE id = NEW.service;
END;
CREATE TRIGGER eventGone AFTER DELETE ON event BEGIN
  UPDATE service SET bytes = bytes - OLD.bytes WHERE id = OLD.service;
END;

CREATE TABLE topic (
  id INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  name TEXT NOT NULL,
  floor INTEGER NOT NULL,
  written INTEGER NOT NULL DEFAULT 0,
  count INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (service, name)
);
CREATE INDEX topicByAge ON topic (service, written);
CREATE TRIGGER topicCame AFTER INSERT ON topic BEGIN
  UPDATE service SET topics = topics + 1 WHERE id = NEW.service;
END;
CREATE TRIGGER topicGone AFTER DELETE ON topic BEGIN
  UPDATE service SET topics = topics - 1, forgotten = max(forgotten, OLD.floor) WHERE id = OLD.service;
END;

-- An event in a topic that holds it.
CREATE TABLE place (
  topic INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (topic, seq)
) WITHOUT ROWID;
CREATE TRIGGER placeCame AFTER INSERT ON place BEGIN
  UPDATE topic SET count = count + 1, bytes = bytes + NEW.bytes, written = NEW.seq WHERE id = NEW.topic;
END;
CREATE TRIGGER placeGone AFTER DELETE ON place BEGIN
  UPDATE topic SET count = count - 1, bytes = bytes - OLD.bytes, floor = max(floor, OLD.seq)
    WHERE id = OLD.topic;
  DELETE FROM event WHERE seq = OLD.seq AND holders = 1;
  UPDATE event SET holders = holders - 1 WHERE seq = OLD.seq;
END;

CREATE TABLE message (
  seq INTEGER PRIMARY KEY,
  service INTEGER NOT NULL,
  id TEXT NOT NULL,
  expiry REAL NOT NULL,
  bytes INTEGER NOT NULL,
  count INTEGER NOT NULL DEFAULT 0,
  -- How many have yet to acknowledge; 0: anybody may.
  missing INTEGER NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (service, id)
);
CREATE INDEX messageOfService ON message (service, seq);
CREATE INDEX messageByExpiry ON message (service, expiry);

-- Whom a message is for.
CREATE TABLE audience (
  message INTEGER NOT NULL,
  topic TEXT NOT NULL,
  service INTEGER NOT NULL,
  PRIMARY KEY (message, topic)
) WITHOUT ROWID;
CREATE INDEX audienceByTopic ON audience (service, topic, message);

-- Who has yet to acknowledge a message.
CREATE TABLE missing (
  message INTEGER NOT NULL,
  topic TEXT NOT NULL,
  PRIMARY KEY (message, topic)
) WITHOUT ROWID;

CREATE TRIGGER messageCame AFTER INSERT ON message BEGIN
  UPDATE service SET waiting = waiting + 1, waitingBytes = waitingBytes + NEW.bytes WHERE id = NEW.service;
END;
CREATE TRIGGER messageGone AFTER DELETE ON message BEGIN
  DELETE FROM audience WHERE message = OLD.seq;
  DELETE FROM missing WHERE message = OLD.seq;
  UPDATE service SET waiting = waiting - 1, waitingBytes = waitingBytes - OLD.bytes WHERE id = OLD.service;
END;

-- Of all services.
CREATE TABLE total (
  answers INTEGER NOT NULL,
  answerBytes INTEGER NOT NULL,
  durations INTEGER NOT NULL
);
INSERT INTO total VALUES (0, 0, 0);

CREATE TABLE claim (
  key TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX claimByEnd ON claim (until);

CREATE TABLE answer (
  seq INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  answer TEXT NOT NULL
);
CREATE INDEX answerOfOwner ON answer (owner, seq);

-- What is remembered of one user: never nothing.
CREATE TABLE share (
  owner TEXT PRIMARY KEY,
  count INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER answerCame AFTER INSERT ON answer BEGIN
  INSERT INTO share VALUES (NEW.owner, 1, NEW.bytes)
    ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + NEW.bytes;
  UPDATE total SET answers = answers + 1, answerBytes = answerBytes + NEW.bytes;
END;
CREATE TRIGGER answerGone AFTER DELETE ON answer BEGIN
  DELETE FROM share WHERE owner = OLD.owner AND count = 1;
  UPDATE share SET count = count - 1, bytes = bytes - OLD.bytes WHERE owner = OLD.owner;
  UPDATE total SET answers = answers - 1, answerBytes = answerBytes - OLD.bytes;
END;

CREATE TABLE duration (
  seq INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  seconds REAL NOT NULL
);
CREATE TRIGGER durationCame AFTER INSERT ON duration BEGIN
  UPDATE total SET durations = durations + 1;
END;
CREATE TRIGGER durationGone AFTER DELETE ON duration BEGIN
  UPDATE total SET durations = durations - 1;
END;
`
