import type { Claim, KnownKey } from '../store'
import { costOfAnswer } from './cost'
import type { Limits } from './limits'
import type { Answers } from './local-store'
import type { Database } from './sqlite-file'

export function sqliteAnswers(db: Database, limits: Limits): Answers {
  // Whoever had one is dead, or the file would not be ours: nobody needs to wait for the end of a lease.
  db.exec('DELETE FROM claim')
  const sql = prepare(db)
  const { answerAge, maxAnswers, maxAnswerBytes, maxUserAnswers, maxUserAnswerBytes } = limits

  function forget(): void {
    const bounds = { since: Date.now() - answerAge, maxAnswers, maxAnswerBytes }
    while (sql.forgetOldest.run(bounds).changes > 0);
  }

  /** What stands in the way of this claim. */
  function find(key: string, { holder }: Claim): KnownKey | undefined {
    const now = Date.now()
    sql.endClaims.run(now)
    forget()
    return sql.answer.get(key) ?? sql.claimOfOther.get(key, holder)
  }

  const claim = db.transaction((key: string, claim: Claim, lease: number): KnownKey | undefined => {
    const known = find(key, claim)
    if (known === undefined) sql.setClaim.run(key, claim.holder, claim.fingerprint, Date.now() + lease)
    return known
  })

  const remember = db.transaction((key: string, claim: Claim, answer: string): KnownKey | undefined => {
    const known = find(key, claim)
    if (known !== undefined) return known
    sql.removeClaim.run(key, claim.holder)
    const { fingerprint, owner } = claim
    const bytes = costOfAnswer(answer)
    // The others must not go for what does not fit either way.
    if (bytes > maxAnswerBytes) return undefined
    sql.addAnswer.run(key, owner, fingerprint, Date.now(), bytes, answer)
    // The newest stays, however large: nobody else's go for it yet.
    while (sql.forgetOldestOf.run({ owner, maxUserAnswers, maxUserAnswerBytes }).changes > 0);
    forget()
    return undefined
  })

  return {
    claim,
    remember,
    release: (key, { holder }) => void sql.removeClaim.run(key, holder),
  }
}

function prepare(db: Database) {
  return {
    answer: db.prepare<[string], KnownKey>('SELECT fingerprint, answer FROM answer WHERE key = ?'),
    addAnswer: db.prepare(
      'INSERT INTO answer (key, owner, fingerprint, at, bytes, answer) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    forgetOldest: db.prepare(`DELETE FROM answer WHERE seq = (SELECT min(seq) FROM answer)
      AND (at < :since OR EXISTS
        (SELECT 1 FROM total WHERE answers > :maxAnswers OR answerBytes > :maxAnswerBytes))`),
    forgetOldestOf: db.prepare(`DELETE FROM answer
      WHERE seq = (SELECT min(seq) FROM answer WHERE owner = :owner)
      AND EXISTS (SELECT 1 FROM share WHERE owner = :owner AND count > 1
        AND (count > :maxUserAnswers OR bytes > :maxUserAnswerBytes))`),

    claimOfOther: db.prepare<[string, string], KnownKey>(
      'SELECT fingerprint FROM claim WHERE key = ? AND holder != ?',
    ),
    setClaim: db.prepare(`INSERT INTO claim VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
      SET holder = excluded.holder, fingerprint = excluded.fingerprint, until = excluded.until`),
    removeClaim: db.prepare('DELETE FROM claim WHERE key = ? AND holder = ?'),
    endClaims: db.prepare('DELETE FROM claim WHERE until <= ?'),
  }
}
