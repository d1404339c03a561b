/* The rows of a question (filter, range, order), in the order they are shown. A question has no row
   numbers: pages come one after the other by cursor, and a page that nobody looks at is let go and
   read again by the cursor it began with. `head` is the newest seq the question is about: it freezes
   the answer while events arrive. */
(function () {
  'use strict';
  const ig = (window.igdash = window.igdash || {});
  const view = (ig.session = ig.session || {});
  const PAGE = 100, HOLD = 80, FRESH = 2000, FIRST_MS = 120;

  /* How `sort=` is read. Without a sort, and by seq, rows come in the order of their numbers, which
     costs no sorting. */
  const orderOf = (sort) => ({ '': 'newest', '-seq': 'newest', seq: 'oldest' })[sort || ''] || 'sorted';

  class Found {
    /* `read(query) → Promise<page>` asks; `sort` as in the address; `head` may be Infinity until known. */
    constructor(read, sort, head) {
      this.read = read;
      this.sort = sort || '';
      this.order = orderOf(sort);
      this.head = head;
      this.fresh = [];
      this.batches = [];
      this.count = 0;
      this.end = false;
      this.next = { newest: Number.isFinite(head) ? head + 1 : Number.MAX_SAFE_INTEGER, oldest: 0, sorted: '' }[this.order];
      this.scope = null;
      this.examined = 0;
      this.loading = null;
      this.used = 0;
      this.budget = null;
    }

    get total() { return this.fresh.length + this.count; }
    /* Rows the grid should make room for: one page more than there are until the end is known. */
    get room() { return this.total + (this.end || this.cut ? 0 : PAGE); }
    /* Whether the last answer ended because its time was used up. */
    get cut() { return !this.end && this.short === true; }

    query(cursor, limit) {
      /* Something to look at soon: what is rare is looked for on while it is shown. */
      const soon = this.examined === 0 && this.order !== 'sorted' ? FIRST_MS : null;
      const query = { limit: limit, budget_ms: this.budget || soon };
      if (this.order === 'newest') return { ...query, before: cursor };
      if (this.order === 'oldest') return { ...query, after: cursor };
      return { ...query, sort: this.sort, before: this.head + 1, cursor: cursor };
    }
    rowsOf(page) {
      if (this.order === 'newest') return page.events.slice().reverse();
      return this.order === 'oldest' ? page.events.filter((row) => row.seq <= this.head) : page.events;
    }

    /* One more page at the end; calls while one is under way wait for it. */
    more() {
      if (!this.loading) this.loading = this.fetchMore().finally(() => { this.loading = null; });
      return this.loading;
    }
    async fetchMore() {
      const cursor = this.next;
      const page = await this.read(this.query(cursor, PAGE));
      if (!Number.isFinite(this.head)) this.head = page.last;
      const rows = this.rowsOf(page);
      if (rows.length > 0) this.batches.push({ start: this.count, count: rows.length, cursor: cursor, rows: rows, used: ++this.used });
      this.count += rows.length;
      this.end = page.next === null || rows.length < page.events.length;
      this.next = page.next;
      this.short = page.events.length < PAGE;
      if (page.scope) {
        this.scope = page.scope;
        this.examined += page.scope.examined;
      }
      this.forget();
    }

    /* Read on until row `end` is there, the answer ends, or one request used up its time. */
    async need(start, end) {
      while (this.total < end && !this.end) {
        await this.more();
        if (this.cut) break;
      }
      const wanted = this.batches.filter((one) => one.rows === null && one.start + this.fresh.length < end && one.start + one.count + this.fresh.length > start);
      for (const one of wanted) await this.reread(one);
    }
    async reread(batch) {
      const rows = [];
      let cursor = batch.cursor;
      while (rows.length < batch.count && cursor !== null) {
        const page = await this.read(this.query(cursor, batch.count - rows.length));
        rows.push(...this.rowsOf(page));
        cursor = page.next;
      }
      batch.rows = rows;
      batch.used = ++this.used;
      this.forget();
    }
    forget() {
      const held = this.batches.filter((one) => one.rows !== null);
      if (held.length <= HOLD) return;
      held.sort((a, b) => a.used - b.used);
      for (const one of held.slice(0, held.length - HOLD)) one.rows = null;
    }

    batchAt(index) {
      let low = 0, high = this.batches.length - 1;
      while (low <= high) {
        const middle = (low + high) >> 1, one = this.batches[middle];
        if (index < one.start) high = middle - 1;
        else if (index >= one.start + one.count) low = middle + 1;
        else return one;
      }
      return null;
    }
    at(index) {
      if (index < this.fresh.length) return this.fresh[index];
      const batch = this.batchAt(index - this.fresh.length);
      if (!batch || batch.rows === null) return undefined;
      batch.used = ++this.used;
      return batch.rows[index - this.fresh.length - batch.start];
    }
    indexOf(seq) {
      const here = this.fresh.findIndex((row) => row.seq === seq);
      if (here >= 0) return here;
      for (const one of this.batches) {
        const at = one.rows === null ? -1 : one.rows.findIndex((row) => row.seq === seq);
        if (at >= 0) return this.fresh.length + one.start + at;
      }
      return -1;
    }

    /* What matches and came since; `take` puts it in front. */
    peek() {
      return this.read({ after: this.head, limit: PAGE * 2 });
    }
    /* How many rows came in front; null when there are too many: then the answer must begin anew. */
    take(page) {
      if ((page.next !== null && page.events.length === PAGE * 2) || this.fresh.length + page.events.length > FRESH) return null;
      const rows = page.events.filter((row) => row.seq > this.head).reverse();
      this.fresh = [...rows, ...this.fresh];
      this.head = Math.max(this.head, page.next === null ? page.last : Number(page.next));
      return rows.length;
    }
  }

  view.found = { Found: Found, orderOf: orderOf, PAGE: PAGE };
})();
